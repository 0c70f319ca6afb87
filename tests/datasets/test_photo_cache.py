"""The cache of photos: what fits stays, the rest is decoded again, and the limit holds."""

import threading

import torch

from splat.datasets.images.cache import Photo, PhotoCache


def cache(photos: int, limit: int | None) -> tuple[PhotoCache, list[int]]:
    """Photos of 3000 bytes, and how often each was read."""
    reads = [0] * photos

    def reader(index: int):
        def read() -> Photo:
            reads[index] += 1
            return Photo(torch.full((10, 100, 3), index, dtype=torch.uint8))

        return read

    return PhotoCache({str(i): reader(i) for i in range(photos)}, limit), reads


def test_without_a_limit_each_is_read_once():
    photos, reads = cache(5, None)
    for _ in range(3):
        assert [int(photos.photo(str(i)).image[0, 0, 0]) for i in range(5)] == [0, 1, 2, 3, 4]
    assert reads == [1] * 5


def test_the_limit_holds_and_every_photo_comes():
    photos, reads = cache(20, 40_000)
    for _ in range(3):
        for i in range(20):
            if i + 1 < 20:
                photos.prepare(str(i + 1))
            assert int(photos.photo(str(i)).image[0, 0, 0]) == i
            held = photos.bytes + sum(3000 for _ in photos.passing)
            assert held <= 40_000
    assert sum(count == 1 for count in reads) == 10  # three quarters of the limit
    assert max(reads) == 3


def test_a_failure_ahead_comes_when_the_photo_is_asked_for():
    def broken() -> Photo:
        raise OSError("gone")

    photos = PhotoCache({"a": broken}, None)
    photos.prepare("a")
    try:
        photos.photo("a")
    except OSError as error:
        assert str(error) == "gone"
    else:
        raise AssertionError("no error")


def test_many_threads():
    photos, _ = cache(8, 12_000)
    wrong = []

    def work(seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        for _ in range(200):
            index = int(torch.randint(8, (), generator=generator))
            photos.prepare(str((index + 1) % 8))
            if int(photos.photo(str(index)).image[0, 0, 0]) != index:
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and photos.bytes <= 12_000


def test_transparent_photos_over_a_background():
    alpha = torch.tensor([[0, 255]], dtype=torch.uint8)
    photo = Photo(torch.full((1, 2, 3), 51, dtype=torch.uint8), alpha)
    background = torch.tensor([1.0, 0.5, 0.0])
    torch.testing.assert_close(photo.over(background), torch.stack([background, torch.full((3,), 0.2)])[None])
