"""The entry point of the `kg` command, and the one name that the wheel installs."""

__version__ = "0.1.0"


def main() -> None:
    """Run `kg`. From a wheel, our folders lie inside this package: only our own process may put them on the path."""
    import sys
    from pathlib import Path

    here = Path(__file__).resolve().parent
    root = here if (here / "cli").is_dir() else here.parent
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    from cli.app import run

    run()
