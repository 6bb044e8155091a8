"""The container recipe, built and run by buildah without a container engine and without a registry.

The base image comes from mmdebstrap under the name that the recipe asks for: the same Debian release,
not the same image. The process runs in a chroot (buildah's weakest isolation: nested machines
have no more), as the image's own user.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECIPE = ROOT / "packaging/docker/Dockerfile"
sys.path[:0] = [str(ROOT / "tests/packages"), str(ROOT / "tests/e2e")]
from box import wait_for  # noqa: E402
from ports import free_port  # noqa: E402

ENV = dict(os.environ, BUILDAH_ISOLATION="chroot", STORAGE_DRIVER="vfs")


def buildah(*arguments, **more):
    done = subprocess.run(["buildah", *arguments], env=ENV, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False, **more)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout.strip()


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    """Images of our own, away from the machine's."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    for tool in ("buildah", "mmdebstrap"):
        if shutil.which(tool) is None:
            pytest.skip("needs " + tool)
    folder = tmp_path_factory.mktemp("containers")
    conf = folder / "storage.conf"
    conf.write_text('[storage]\ndriver = "vfs"\ngraphroot = "%s/root"\nrunroot = "%s/run"\n'
                    % (folder, folder), "ascii")
    ENV["CONTAINERS_STORAGE_CONF"] = str(conf)
    yield folder
    subprocess.run(["buildah", "rm", "--all"], env=ENV, check=False, capture_output=True)
    subprocess.run(["buildah", "rmi", "--all", "--force"], env=ENV, check=False, capture_output=True)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def image(storage):
    base = set(re.findall(r"^FROM (\S+)", RECIPE.read_text("utf-8"), re.M))
    assert base == {"debian:bookworm-slim"}
    mirror = subprocess.run([str(ROOT / "tests/mirror.sh")], capture_output=True, text=True,
                            check=True).stdout.strip()
    archive = storage / "base.tar"
    subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", "bookworm", str(archive),
                    "deb %s bookworm main" % mirror], check=True, stdin=subprocess.DEVNULL)
    empty = buildah("from", "scratch")
    buildah("add", empty, str(archive), "/")
    buildah("commit", "--rm", empty, "docker.io/library/debian:bookworm-slim")
    context = storage / "context"
    subprocess.run([str(ROOT / "packaging/deb/build.sh"), "source", str(context)], check=True)
    buildah("bud", "--pull-never", "--network", "host", "-f", str(RECIPE), "-t", "han2x", str(context))
    return "localhost/han2x"


def test_what_the_image_says(image):
    """Not root, no capability needed, ports and volumes named."""
    config = json.loads(buildah("inspect", "--type", "image", image))["OCIv1"]["config"]
    assert config["User"] == "han2x"
    assert config["Entrypoint"] == ["/usr/bin/han2x"] and config["Cmd"] == ["run"]
    assert set(config["ExposedPorts"]) == {"5020/tcp", "8080/tcp", "8443/tcp"}
    assert set(config["Volumes"]) == {"/etc/han2x", "/var/lib/han2x"}


def test_it_serves(image):
    """Modbus and pages out of a running container; ended by SIGTERM as engines do."""
    modbus, web = free_port(), free_port()
    settings = {"METER_SOURCE": "sim:aidon", "MODBUS_TCP_LISTEN": "127.0.0.1", "MODBUS_TCP_PORT": modbus,
                "WEB_LISTEN": "127.0.0.1", "WEB_PORT": web, "WEB_TLS_PORT": 0}
    container = buildah("from", "--pull-never", image)
    variables = [a for key, value in settings.items() for a in ("-e", "HAN2X_%s=%s" % (key, value))]
    running = subprocess.Popen(["buildah", "run", "--network", "host", *variables, container, "--",
                                "/usr/bin/han2x", "run"], env=ENV, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        def power():
            assert running.poll() is None, running.stdout.read()
            done = subprocess.run(["mbpoll", "-m", "tcp", "-p", str(modbus), "-a", "1", "-t", "4:int",
                                   "-B", "-r", "1", "-c", "1", "-1", "127.0.0.1"],
                                  capture_output=True, text=True, check=False)
            found = re.search(r"^\[1\]:\s+(\d+)", done.stdout, re.M)
            return found and int(found.group(1)) > 0
        wait_for("power over Modbus", power)
        health = subprocess.run(["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                                 "http://127.0.0.1:%d/health" % web], capture_output=True, text=True)
        assert health.stdout == "200"
        os.kill(serving(modbus), 15)
        assert running.wait(20) == 0
        assert "ending on signal 15" in running.stdout.read()
    finally:
        if running.poll() is None:
            running.kill()
        running.wait(20)


def serving(port):
    """The process that listens there, which is not root's."""
    seen = subprocess.run(["ss", "-Hltnp", "sport", "=", ":%d" % port], capture_output=True, text=True,
                          check=True).stdout
    pid = int(re.search(r"pid=(\d+)", seen).group(1))
    assert os.stat("/proc/%d" % pid).st_uid != 0
    return pid
