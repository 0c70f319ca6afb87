"""Poses and points from matches: COLMAP's global and incremental mapping, and what joins and refines their scenes."""

import re
import shutil
from collections import Counter as Counted
from collections.abc import Container, Iterable
from pathlib import Path

import pycolmap

from splat.datasets.sfm.cameras import is_plausible
from splat.datasets.sfm.resection import resect
from splat.datasets.sfm.watch import log_file, watched
from splat.io.progress import Counter
from splat.io.wording import number_of

SMALLEST = 3
"""Photos of a scene."""
STAGES = (
    (r"Running rotation averaging", "rotations"),
    (r"Running track establishment", "tracks"),
    (r"Solving the global positioner problem", "positions"),
    (r"Running iterative bundle adjustment", "bundle adjustment"),
    (r"adjustment iteration 1 / \d+ finished", "bundle adjustment again"),
    (r"adjustment iteration 2 / \d+ finished", "bundle adjustment for the last time"),
    (r"Running iterative retriangulation", "more points"),
    (r"Extracting colors", "colors"),
)
"""Lines of the global mapper's log, and what it does from then on. Nobody knows how long a step takes."""
SHARED_BY = 10
"""Photos that a camera must have taken for more of its lens to be determined than one coefficient."""
WRONG, SMALLEST_ANGLE = 4.0, 1.5
"""Reprojection error in pixels above which, and degrees between rays below which, a point is dropped: COLMAP's own values."""

HELD = 15
"""Points of the scene that a photo must show for its pose to count."""
POSSIBLE_FOCAL_LENGTHS = 0.1, 50.0
"""Possible focal lengths, relative to the longer side of a photo: what lies beyond came out of a wrong pose."""

Models = list[pycolmap.Reconstruction]


def map_globally(database: Path, photos: Path, folder: Path, seed: int, progress: bool, lenses: bool = True) -> Models:
    """All poses at once: rotations, then positions, then bundle adjustment (GLOMAP, Pan et al. 2024). Largest scene first.

    Args:
        lenses: determine the distortion of lenses, too.
    """
    options = pycolmap.GlobalPipelineOptions()
    options.random_seed, options.min_model_size = seed, SMALLEST
    # A pattern that looks the same from two sides has fewer matches than what is the same.
    options.mapper.rotation_averaging.reweighting = pycolmap.RotationAveragingReweighting.INLIER_MATCH_COUNT
    options.mapper.bundle_adjustment.refine_extra_params = lenses
    out = _empty(folder / "global")
    counter = Counter("global mapping", shown=progress, countable=False)
    with log_file(folder) as read:
        models = watched(
            lambda _: pycolmap.global_mapping(database, photos, out, options=options),
            counter,
            lambda: _follow(read(), counter),
        )
    return _by_size(models.values())


def _follow(log: str, counter: Counter) -> None:
    """Tell a counter which stage of global mapping is going on; of several components of the photos, only the last one's."""
    log = log[max(0, log.rfind("=== Reconstructing component")) :]
    for step, (words, stage) in reversed([*enumerate(STAGES, 1)]):
        if re.search(words, log):
            counter.name_as(f"global mapping, step {step} of {len(STAGES)} ({stage})")
            return


def map_incrementally(
    database: Path,
    photos: Path,
    folder: Path,
    seed: int,
    progress: bool,
    lenses: bool = True,
    start: pycolmap.Reconstruction | None = None,
) -> Models:
    """Photo after photo, each placed by the points that are known by then. Largest scene first.

    Args:
        lenses: determine the distortion of lenses, too.
        start: a scene that is gone on with; photos it lacks are added to it.
    """
    count, begun = _images(database), 0 if start is None else start.num_reg_images()
    options = pycolmap.IncrementalPipelineOptions(min_model_size=SMALLEST, random_seed=seed)
    options.ba_refine_extra_params = lenses
    before: Path | str = ""
    if start is not None:
        before = _empty(folder / "start")
        start.write(before)
        options.multiple_models = False
    registered = _Registered(begun)
    out = _empty(folder / "incremental")
    counter = Counter("registered", count, unit="photo", shown=progress)
    models = watched(
        lambda token: pycolmap.incremental_mapping(
            database,
            photos,
            out,
            options=options,
            input_path=before,
            initial_image_pair_callback=registered.begin,
            next_image_callback=registered.add,
            cancellation_token=token,
        ),
        counter,
        lambda: counter.to(min(count, registered.count)),
    )
    return _by_size(models.values())


class _Registered:
    """Photos that have a pose, of the scene that is being made: if a beginning leads nowhere, another follows."""

    def __init__(self, before: int) -> None:
        self.count = self.before = before

    def begin(self) -> None:
        self.count = max(2, self.before)

    def add(self) -> None:
        self.count += 1


def join(models: Models, database: Path, photos: Path, folder: Path, progress: bool, lenses: bool = True) -> Models:
    """Scenes that share photos become one: poses brought into the largest scene's coordinates, points made anew.

    Args:
        lenses: determine the distortion of lenses, too.

    Returns:
        The scenes, the joined one first; the given ones where no two can be joined.
    """
    apart, placed = [], _placed(models[0])
    for model in models[1:]:
        moved = pycolmap.align_reconstructions_via_reprojections(model, models[0])
        if moved is None:
            apart.append(model)
            continue
        for image, (pose, lens) in _placed(model).items():
            placed.setdefault(image, (moved.transform_camera_world(pose), lens))
    if len(placed) == models[0].num_reg_images():
        return models
    counter = Counter("joining scenes", shown=progress, countable=False)
    whole = drop_odd_photos(_rebuild(placed, database, photos, folder, counter, lenses))
    return [whole, *apart] if whole.num_reg_images() > models[0].num_reg_images() else models


def with_other_cameras(
    model: pycolmap.Reconstruction, database: Path, photos: Path, folder: Path, seed: int, progress: bool
) -> pycolmap.Reconstruction:
    """The same scene with the cameras that a database gives to its photos.

    Each gets a focal length of its own; one photo says too little about the distortion of its lens. Photos whose camera or pose
    makes no sense then are placed anew.
    """
    counter = Counter("cameras", shown=progress, countable=False)
    found = drop_odd_photos(_rebuild(_placed(model), database, photos, folder, counter, lenses=False))
    if found.num_reg_images() == model.num_reg_images():
        return found
    more = map_incrementally(database, photos, folder, seed, progress, lenses=False, start=found)
    return more[0] if more else found


def place_missing(
    model: pycolmap.Reconstruction,
    database: Path,
    photos: Path,
    folder: Path,
    seed: int,
    progress: bool,
    lenses: bool = True,
) -> pycolmap.Reconstruction:
    """The scene with those of its missing photos whose place follows from its points, and from the points that they add.

    Mapping gives up photos that it has tried too early, or whose focal length has run away by the few points that it saw.

    Args:
        lenses: determine the distortion of lenses, too.
    """
    while found := resect(model, database, seed):
        placed = _placed(model)
        shared = {model.images[key].camera_id for key in placed}
        placed |= {key: (pose, list(camera.params)) for key, (pose, camera) in found.items()}
        held = {camera.camera_id for _, camera in found.values()} - shared
        counter = Counter(f"placing {number_of(len(found), 'photo')} by points", shown=progress, countable=False)
        more = drop_odd_photos(_rebuild(placed, database, photos, folder, counter, lenses, held))
        if more.num_reg_images() <= model.num_reg_images():
            break
        model = more
    return model


def without_photos(model: pycolmap.Reconstruction, names: Container[str]) -> pycolmap.Reconstruction:
    """The scene without the poses of some of its photos."""
    rest = pycolmap.Reconstruction(model)
    for key in model.reg_image_ids():
        if model.images[key].name in names:
            rest.deregister_frame(model.images[key].frame_id)
    return rest


def drop_odd_photos(model: pycolmap.Reconstruction) -> pycolmap.Reconstruction:
    """The scene without the poses of photos that show hardly any of its points, or through an impossible lens of their own."""
    kept = pycolmap.Reconstruction(model)
    taken = Counted(kept.images[key].camera_id for key in kept.reg_image_ids())
    while odd := [
        key for key in kept.reg_image_ids() if _is_odd(kept, key, alone=taken[kept.images[key].camera_id] == 1)
    ]:
        for key in odd:
            kept.deregister_frame(kept.images[key].frame_id)
    kept.update_point_3d_errors()
    return kept


def _is_odd(model: pycolmap.Reconstruction, key: int, alone: bool) -> bool:
    image = model.images[key]
    lens = model.cameras[image.camera_id]
    relative = lens.mean_focal_length() / max(lens.width, lens.height)
    possible = POSSIBLE_FOCAL_LENGTHS[0] < relative < POSSIBLE_FOCAL_LENGTHS[1]  # not if it is not a number
    # A lens that many photos share may still bend rays wrongly at its edges: `refine` mends that.
    return not possible or (alone and not is_plausible(lens)) or image.num_points3D < HELD


Placed = dict[int, tuple[pycolmap.Rigid3d, list[float]]]
"""Image id -> its pose and the parameters of its lens."""


def _placed(model: pycolmap.Reconstruction) -> Placed:
    images = [model.images[key] for key in model.reg_image_ids()]
    return {image.image_id: (image.cam_from_world(), list(model.cameras[image.camera_id].params)) for image in images}


def _rebuild(
    placed: Placed,
    database: Path,
    photos: Path,
    folder: Path,
    counter: Counter,
    lenses: bool = True,
    held: Container[int] = (),
) -> pycolmap.Reconstruction:
    """A scene from known poses: points from the matches, then everything adjusted.

    Args:
        lenses: adjust the distortion of lenses, too.
        held: ids of cameras that stay as they are.
    """
    scene = pycolmap.Reconstruction()
    with pycolmap.Database.open(database) as opened:
        scene.load(pycolmap.DatabaseCache.create(opened, pycolmap.DatabaseCacheOptions()))
    for number, (pose, lens) in placed.items():
        image = scene.images[number]
        scene.cameras[image.camera_id].params = lens
        assert image.frame is not None
        image.frame.set_cam_from_world(image.camera_id, pose)
        scene.register_frame(image.frame_id)

    def work(token: pycolmap.CancellationToken) -> pycolmap.Reconstruction:
        out = _empty(folder / "rebuilt")
        made = pycolmap.triangulate_points(scene, database, photos, out, cancellation_token=token)
        _adjust(made, lenses, held)
        made.update_point_3d_errors()
        return made

    return watched(work, counter, lambda: None)


def refine(model: pycolmap.Reconstruction, progress: bool) -> pycolmap.Reconstruction:
    """Drop points that do not fit, and determine a second coefficient of each lens where enough photos of one camera allow it.

    Pixels stay square: two focal lengths take up errors of poses (they came out 0.7 % apart on photos whose lens is known).

    Returns:
        The scene with those lenses of the kind RADIAL; with simpler ones where a lens came out as none is.
    """
    clean = drop_odd_photos(model)
    pycolmap.ObservationManager(clean).filter_all_points3D(WRONG, SMALLEST_ANGLE)
    clean.update_point_3d_errors()
    taken = Counted(clean.images[key].camera_id for key in clean.reg_image_ids())
    chosen = [
        key for key, count in taken.items() if count >= SHARED_BY and clean.cameras[key].model_name == "SIMPLE_RADIAL"
    ]
    if not chosen:
        return clean
    richer = pycolmap.Reconstruction(clean)
    for key in chosen:
        camera = richer.cameras[key]
        parameters = [*camera.params, 0]
        camera.model, camera.params = pycolmap.CameraModelId.RADIAL, parameters
    watched(lambda _: _adjust(richer), Counter("lenses", None, shown=progress, countable=False), lambda: None)
    richer.update_point_3d_errors()
    plausible = all(is_plausible(richer.cameras[key]) for key in chosen)
    return (
        richer
        if plausible and richer.compute_mean_reprojection_error() < clean.compute_mean_reprojection_error()
        else clean
    )


def _adjust(scene: pycolmap.Reconstruction, lenses: bool = True, held: Container[int] = ()) -> None:
    """Bundle adjustment of everything but the cameras that are held; of the distortion of lenses if wanted.

    Not by `pycolmap.bundle_adjustment`, which makes the whole library talk from then on.
    """
    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary, options.refine_extra_params = False, lenses
    options.ceres.loss_function_type = pycolmap.LossFunctionType.HUBER
    options.ceres.solver_options.max_num_iterations = 30
    options.ceres.solver_options.function_tolerance = 1e-5
    config = pycolmap.BundleAdjustmentConfig()
    for image in scene.reg_image_ids():
        config.add_image(image)
        camera = scene.images[image].camera_id
        if camera in held:
            config.set_constant_cam_intrinsics(camera)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    pycolmap.create_default_bundle_adjuster(options, config, scene).solve()


def _by_size(models: Iterable[pycolmap.Reconstruction]) -> Models:
    kept = [drop_odd_photos(model) for model in models]
    kept = [model for model in kept if model.num_reg_images() >= SMALLEST]
    return sorted(kept, key=lambda model: (-model.num_reg_images(), -model.num_points3D()))


def _images(database: Path) -> int:
    with pycolmap.Database.open(database) as opened:
        return int(opened.num_images())


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
