"""The addresses in the package's metadata, and the README's links, from the one address in ``pyproject.toml``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class ProjectMetadata(MetadataHookInterface):
    """Build hook of hatchling: it is called for each wheel and sdist."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set the addresses, and a README whose links work outside the checkout."""
        repository, branch = self.config["repository"], self.config["branch"]
        metadata["urls"] = {
            "Documentation": self.config["documentation"],
            "Source": repository,
            "Issues": f"{repository}/issues",
            "Changelog": f"{repository}/blob/{branch}/CHANGELOG.md",
        }
        text = (Path(self.root) / "README.md").read_text()
        text = re.sub(r"(!\[[^]]*)?\]\((?!https?:|#)([^)\s]+)\)", self._absolute, text)
        metadata["readme"] = {"content-type": "text/markdown", "text": text}

    def _absolute(self, link: re.Match[str]) -> str:
        # Of a picture the file itself, and not the page about it.
        kind = "raw" if link[1] else "blob"
        return f"{link[1] or ''}]({self.config['repository']}/{kind}/{self.config['branch']}/{link[2]})"
