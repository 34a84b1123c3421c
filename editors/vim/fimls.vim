packadd! ale
set omnifunc=ale#completion#OmniFunc
function! FimlsRoot(buffer) abort
  let l:git = ale#path#FindNearestDirectory(a:buffer, '.git')
  return empty(l:git) ? expand('#' . a:buffer . ':p:h') : fnamemodify(l:git, ':h:h')
endfunction
let g:ale_linters = get(g:, 'ale_linters', {})
for s:type in ['python', 'javascript', 'typescript', 'go', 'rust', 'c', 'cpp', 'java']
  call ale#linter#Define(s:type, {
  \   'name': 'fimls', 'lsp': 'stdio', 'executable': 'fimls', 'command': '%e --stdio',
  \   'project_root': function('FimlsRoot')})
  " ALE then runs only the linters of this list: add the others that you use.
  let g:ale_linters[s:type] = get(g:ale_linters, s:type, []) + ['fimls']
endfor
" Vim's menu inserts several lines as one: this parts them.
function! FimlsPart() abort
  let l:parts = split(strpart(getline('.'), 0, col('.') - 1), "\n", 1)
  if len(l:parts) > 1
    let l:parts[-1] .= strpart(getline('.'), col('.') - 1)
    let l:column = col('.') - len(join(l:parts[:-2], "\n")) - 1
    call setline('.', l:parts[0])
    call append('.', l:parts[1:])
    call cursor(line('.') + len(l:parts) - 1, l:column)
  endif
endfunction
autocmd CompleteDone * call FimlsPart()
