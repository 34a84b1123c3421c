(require 'lsp-mode)
(require 'lsp-inline-completion)
(lsp-register-client
 (make-lsp-client :new-connection (lsp-stdio-connection '("fimls" "--stdio"))
                  :activation-fn (lambda (&rest _) t)
                  :add-on? t            ; beside the language's own server
                  :priority -1
                  :server-id 'fimls))
(setq lsp-inline-completion-idle-delay 0.1) ; seconds; two by default
(define-key lsp-inline-completion-active-map (kbd "TAB") #'lsp-inline-completion-accept)
(define-key lsp-mode-map (kbd "M-\\") #'lsp-inline-completion-display)
(add-hook 'prog-mode-hook #'lsp-deferred)
