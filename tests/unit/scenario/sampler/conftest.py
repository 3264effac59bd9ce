"""What the tests of the sampler share: certificates."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from halab.cluster.api import Credentials


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with certificates under all names that a sampler looks for."""
    tool = shutil.which("openssl") or pytest.skip("not installed: openssl")
    folder = tmp_path_factory.mktemp("keys")
    credentials = Credentials.in_folder(folder)
    subprocess.run(
        [tool, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=halab", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", credentials.key,
         "-out", credentials.certificate],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    texts = [
        path.read_text() for path in (credentials.certificate, credentials.certificate, credentials.key)
    ]
    credentials.write(*texts)
    credentials.of_etcd.write(*texts)
    return folder
