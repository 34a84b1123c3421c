"""The documents that the editor has open, notebooks included.

pygls keeps track of folders and of the order of a notebook's cells; the text is kept
in our own ``Document``. pygls' own breaks lines where ``str.splitlines`` does and
copies all of them at every access.
"""

from __future__ import annotations

import logging
from urllib.parse import unquote

from lsprotocol import types
from pygls.workspace import Workspace

from fimls import lsp
from fimls.document import Document, Snapshot

logger = logging.getLogger(__name__)

# Every cell of every notebook. Without a ``notebook`` lsprotocol's own clients fail to read it.
NOTEBOOKS = types.NotebookDocumentSyncOptions(
    notebook_selector=[
        types.NotebookDocumentFilterWithNotebook("*", [types.NotebookCellLanguage(language="*")])
    ]
)


class Documents(Workspace):
    """Open documents by URI. For the event loop only."""

    def __init__(
        self,
        root_uri: str | None,
        sync_kind: types.TextDocumentSyncKind,
        folders: list[types.WorkspaceFolder],
        encoding: types.PositionEncodingKind | str | None,
    ) -> None:
        super().__init__(root_uri, sync_kind, folders, encoding)
        self._encoding = lsp.encoding(encoding)
        self._open: dict[str, Document] = {}

    @property
    def n_open(self) -> int:
        return len(self._open)

    def snapshots(self) -> dict[str, Snapshot]:
        """All open documents as they are now."""
        return {uri: document.snapshot() for uri, document in self._open.items()}

    def find(self, uri: str) -> Document | None:
        return self._open.get(unquote(uri))

    def place(
        self,
        uri: str,
        at: types.Position,
        selected: types.SelectedCompletionInfo | None = None,
    ) -> lsp.Place | None:
        """What a request points at; ``None`` when it is not there."""
        document = self.find(uri)
        if document is None:
            return None
        notebook = self.get_notebook_document(cell_uri=uri)
        if notebook is None:
            return lsp.place(document, at, selected=selected)
        cells = [
            cell
            for found in notebook.cells
            if found.kind == types.NotebookCellKind.Code and (cell := self.find(found.document))
        ]
        if document not in cells:  # prose is completed by itself
            return lsp.place(document, at, selected=selected)
        whole = (notebook.uri, notebook.version)
        return lsp.place(document, at, selected=selected, cells=cells, notebook=whole)

    def roots(self) -> list[str]:
        """The paths of the workspace's folders."""
        uris = [folder.uri for folder in self.folders.values()] or [self.root_uri or ""]
        return [path for uri in uris if (path := lsp.path_of(uri))]

    # What pygls calls on didOpen, didChange and didClose, for notebooks too.

    def put_text_document(
        self, text_document: types.TextDocumentItem, notebook_uri: str | None = None
    ) -> None:
        uri = text_document.uri
        self._open[unquote(uri)] = Document(
            uri,
            text_document.text,
            language=str(getattr(text_document.language_id, "value", text_document.language_id)),
            version=text_document.version,
            path=lsp.path_of(uri),
            encoding=self._encoding,
        )
        if notebook_uri:
            self._cell_in_notebook[unquote(uri)] = unquote(notebook_uri)

    def update_text_document(
        self,
        text_doc: types.VersionedTextDocumentIdentifier,
        change: types.TextDocumentContentChangeEvent,
    ) -> None:
        document = self.find(text_doc.uri)
        if document is None:
            logger.warning("a change for a document that is not open was dropped")
            return
        document.apply(lsp.change(change))
        document.version = text_doc.version

    def remove_text_document(self, doc_uri: str) -> None:
        self._open.pop(unquote(doc_uri), None)
        self._cell_in_notebook.pop(unquote(doc_uri), None)

    def update_notebook_document(self, params: types.DidChangeNotebookDocumentParams) -> None:
        if self.get_notebook_document(notebook_uri=params.notebook_document.uri) is None:
            logger.warning("a change for a notebook that is not open was dropped")
            return
        super().update_notebook_document(params)
