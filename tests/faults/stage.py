"""A platform, a project and the image of the test application, for a run by hand."""

import contextlib
import shutil
import sys
import tempfile
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from bed import counterparts, sources  # noqa: E402
from bed.platform import Platform  # noqa: E402


@contextlib.contextmanager
def stage():
    """Yields a running platform, a project's id, and an image's name; removes everything afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="click-deploy-faults-"))
    image = f"click-deploy-e2e/app:{uuid.uuid4().hex[:12]}"
    counterparts.image_needed(sources.BASE_IMAGE)
    counterparts.docker("build", "--quiet", "--label", f"click-deploy-e2e={image}", "--tag", image, str(sources.write_files(folder / "image", sources.app_files("image"))))
    platform = Platform(folder / "platform")
    try:
        platform.start()
        yield platform, platform.api.project("faults"), image
    finally:
        platform.end()
        counterparts.remove_image(image)
        shutil.rmtree(folder, ignore_errors=True)
