filetype plugin indent on
packadd! ale
set omnifunc=ale#completion#OmniFunc
set completeopt+=menuone " a single item is asked about too
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
" Vim's menu inserts several lines as one, and ALE cuts them at the first parenthesis, as if they
" were a name: this adds the rest and parts the lines.
function! FimlsPart() abort
  let l:item = v:completed_item
  if get(l:item, 'menu', '') !=# 'fimls'
    return
  endif
  let l:rest = stridx(l:item.info, l:item.word) == 0 ? strpart(l:item.info, len(l:item.word)) : ''
  let l:parts = split(strpart(getline('.'), 0, col('.') - 1) . l:rest, "\n", 1)
  let l:column = len(l:parts[-1]) + 1
  let l:parts[-1] .= strpart(getline('.'), col('.') - 1)
  call setline('.', l:parts[0])
  call append('.', l:parts[1:])
  call cursor(line('.') + len(l:parts) - 1, l:column)
endfunction
autocmd CompleteDone * call FimlsPart()
