"""The OpenWrt recipe's own steps, with stand-ins for the rules of its build system, which is not at
hand: which files it takes, how it configures, what it installs. Not its cross compiler, its
package names or its image."""
import pathlib
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
RECIPE = ROOT / "packaging/openwrt"
RULES = """SHELL:=/bin/bash
INCLUDE_DIR:=$(TOPDIR)/include
PKG_BUILD_DIR=$(TOPDIR)/build/$(PKG_NAME)-$(PKG_VERSION)
PKG_INSTALL_DIR=$(TOPDIR)/staged
CP:=cp -fpR
INSTALL_DIR:=install -d -m0755
INSTALL_BIN:=install -m0755
INSTALL_DATA:=install -m0644
"""
PACKAGE = """define BuildPackage
check:
	$(Build/Prepare)
	meson setup $(PKG_BUILD_DIR)/o $(PKG_BUILD_DIR) --prefix=/usr -Db_lto=false $(filter-out -Db_lto%,$(MESON_ARGS))
	ninja -C $(PKG_BUILD_DIR)/o -j2
	DESTDIR=$(PKG_INSTALL_DIR) meson install -C $(PKG_BUILD_DIR)/o
	$(call Package/$(1)/install,$(TOPDIR)/root)
endef
"""


def test_steps(tmp_path):
    for tool in ("meson", "ninja", "make"):
        if shutil.which(tool) is None:
            pytest.skip("needs " + tool)
    (tmp_path / "include").mkdir()
    (tmp_path / "rules.mk").write_text(RULES, "ascii")
    (tmp_path / "include/package.mk").write_text(PACKAGE, "ascii")
    (tmp_path / "include/meson.mk").write_text("MESON_ARGS:=\n", "ascii")
    done = subprocess.run(["make", "TOPDIR=%s" % tmp_path, "CONFIG_HAN2X_WEB=y", "check"], cwd=RECIPE,
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    root = tmp_path / "root"
    assert {str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()} == {
        "usr/bin/han2x", "etc/init.d/han2x", "etc/capabilities/han2x.json"}
    help_text = subprocess.run([str(root / "usr/bin/han2x"), "--help"], capture_output=True,
                               text=True, check=True).stdout
    assert "without web" not in help_text
    subprocess.run(["sh", "-n", str(root / "etc/init.d/han2x")], check=True)
