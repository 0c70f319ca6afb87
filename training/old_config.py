"""What earlier versions wrote into config.json, as the present one writes it."""

from typing import Any

RENAMED = {
    ("data", "max_size"): ("data", "max_image_size"),
    ("optimization", "late_steps"): ("optimization", "accumulate"),
    ("optimization", "ssim_weight"): ("loss", "ssim"),
    ("optimization", "grid_smoothness"): ("loss", "grid"),
    ("geometry", "depth_points_weight"): ("loss", "depth_points"),
    ("geometry", "depth_maps_weight"): ("loss", "depth_maps"),
    ("geometry", "depth_smooth_weight"): ("loss", "depth_smooth"),
    ("geometry", "normal_weight"): ("loss", "normals"),
    ("geometry", "flat_weight"): ("loss", "flat"),
    ("appearance", "grid_tv_weight"): ("loss", "bilateral_tv"),
    ("densify", "mask_weight"): ("densify", "learned_mask"),
    **{
        ("optimization", f"lr_{name}"): ("lr", name)
        for name in ("means", "means_final", "sh0", "sh_rest", "opacities", "scales", "quats", "final")
    },
}
"""Group and name as they were -> as they are."""


def upgraded(values: dict[str, Any]) -> dict[str, Any]:
    """The same settings under their present names. A configuration of the present version comes back as it is."""
    groups = {name: dict(group) for name, group in values.items() if isinstance(group, dict)}
    for (group, name), (new_group, new_name) in RENAMED.items():
        if name in groups.get(group, {}):
            groups.setdefault(new_group, {})[new_name] = groups[group].pop(name)
    optimization = groups.get("optimization", {})
    if isinstance(optimization.get("progressive"), bool):
        full_size = optimization.pop("full_size", False)
        optimization["progressive"] = "on" if optimization["progressive"] else "off" if full_size else "auto"
        densify = groups.get("densify", {})
        if densify.get("strategy", "budget") == "budget" and "absgrad_threshold" in densify:
            densify["absgrad_threshold"] /= 4  # the strategy budget divided what it shared with absgrad
    return {**values, **groups}
