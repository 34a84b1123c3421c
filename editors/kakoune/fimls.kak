hook -group fimls global BufSetOption filetype=(?:python|javascript|go|rust|c|cpp|java) %{
    set-option -add buffer lsp_servers %{
        [fimls]
        root_globs = [".git", ".fimls.toml"]
        command = "fimls"
        args = ["--stdio"]
    }
}
hook global WinSetOption filetype=(?:python|javascript|go|rust|c|cpp|java) lsp-enable-window
