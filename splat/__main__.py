"""`python -m splat` is the same as `splat`."""

from splat.cli.main import main

if __name__ == "__main__":
    main()
