(require 'eglot)
(add-to-list 'eglot-server-programs '(python-mode . ("fimls" "--stdio")))
(add-hook 'python-mode-hook #'eglot-ensure)
