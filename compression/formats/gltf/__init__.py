"""glTF 2.0 with KHR_gaussian_splatting (Khronos 2026): `.glb`, and `.gltf` with its buffers.

Points carry rotation, scale, opacity and harmonics. glTF's axes are left, up, forward. Scales and opacities are stored as they
are, not as logarithms and logits; rotations as (x, y, z, w).

document  the JSON and its buffers, whatever holds them; numbers of an accessor
nodes     which meshes a scene holds, and where its nodes put them
reader    Gaussians out of all that
writer    one node with one primitive in a `.glb`

May import splat.compression.coding and the other formats.
"""

EXTENSION = "KHR_gaussian_splatting"


def harmonic_names(degree: int) -> list[str]:
    """Attributes of the harmonics of degree 0 to `degree`, in the order of ours."""
    return [f"{EXTENSION}:SH_DEGREE_{d}_COEF_{n}" for d in range(degree + 1) for n in range(2 * d + 1)]
