packadd! ale
set omnifunc=ale#completion#OmniFunc
function! FimlsRoot(buffer) abort
  let l:git = ale#path#FindNearestDirectory(a:buffer, '.git')
  return empty(l:git) ? expand('#' . a:buffer . ':p:h') : fnamemodify(l:git, ':h:h')
endfunction
for s:type in ['python', 'javascript', 'typescript', 'go', 'rust', 'c', 'cpp', 'java']
  call ale#linter#Define(s:type, {
  \   'name': 'fimls', 'lsp': 'stdio', 'executable': 'fimls', 'command': '%e --stdio',
  \   'project_root': function('FimlsRoot')})
endfor
