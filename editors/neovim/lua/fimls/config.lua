--- What the plugin can be told, with its defaults; the server's own settings go into `settings`.
local M = {}

---@class fimls.Config
M.defaults = {
  -- How the server is started. nil: `fimls` on PATH, else the workspace's virtual environment.
  cmd = nil, ---@type string[]?
  -- Settings of the server (docs/configuration.md), e.g. { completion = { n_predict = 64 } }.
  settings = {},
  -- Ask for suggestions while typing; `:Fimls trigger` works either way.
  automatic = true,
  -- Pause in typing before the server is asked. It answers the newest request and drops the
  -- older ones by itself, so 0 is right unless a slow link to the server lies between.
  debounce_ms = 0,
  -- Who draws: "native" is vim.lsp.inline_completion (Neovim 0.12), "own" this plugin's extmarks,
  -- "auto" the first of these that is there.
  renderer = 'auto',
  -- Filetypes that are left alone.
  filetypes_off = { 'help', 'gitcommit', 'gitrebase', 'qf', 'netrw' },
  -- What marks the root of a project; a file outside any is served on its own.
  root_markers = { '.fimls.toml', '.git', 'pyproject.toml', 'package.json', 'Cargo.toml', 'go.mod' },
  -- Keys in Insert mode; false or '' leaves one unmapped. Where nothing is suggested, or a
  -- completion menu or a snippet wants the key, it keeps its former meaning.
  keys = {
    accept = '<Tab>',
    accept_line = '<M-l>',
    accept_word = '<M-w>',
    next = '<M-]>',
    previous = '<M-[>',
    dismiss = '<C-]>',
    trigger = '<M-\\>',
  },
}

M.current = vim.deepcopy(M.defaults)

local function edit_distance(a, b)
  local row = {}
  for j = 0, #b do
    row[j] = j
  end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local cost = a:byte(i) == b:byte(j) and 0 or 1
      diagonal, row[j] = row[j], math.min(row[j] + 1, row[j - 1] + 1, diagonal + cost)
    end
  end
  return row[#b]
end

local function nearest(key, known)
  table.sort(known, function(a, b)
    return edit_distance(key, a) < edit_distance(key, b)
  end)
  return known[1]
end

local TYPES = {
  cmd = { 'table', 'nil' },
  settings = { 'table' },
  automatic = { 'boolean' },
  debounce_ms = { 'number' },
  renderer = { 'string' },
  filetypes_off = { 'table' },
  root_markers = { 'table' },
  keys = { 'table' },
}

--- Returns what is wrong with `options`, in a sentence, or nil.
---@return string?
function M.complaint(options)
  for key, value in pairs(options) do
    if not TYPES[key] then
      return ('fimls: no option "%s"; did you mean "%s"? See :help fimls-options'):format(
        key,
        nearest(key, vim.tbl_keys(TYPES))
      )
    end
    if not vim.tbl_contains(TYPES[key], type(value)) then
      return ('fimls: option "%s" must be a %s, not a %s'):format(key, TYPES[key][1], type(value))
    end
  end
  for key in pairs(options.keys or {}) do
    if M.defaults.keys[key] == nil then
      return ('fimls: no key "%s"; did you mean "%s"? See :help fimls-keys'):format(
        key,
        nearest(key, vim.tbl_keys(M.defaults.keys))
      )
    end
  end
  if options.renderer and not vim.tbl_contains({ 'auto', 'native', 'own' }, options.renderer) then
    return 'fimls: option "renderer" must be "auto", "native" or "own"'
  end
end

--- Takes the user's options; raises a sentence when one of them cannot be.
function M.set(options)
  options = options or {}
  local wrong = M.complaint(options)
  if wrong then
    error(wrong, 0)
  end
  M.current = vim.tbl_deep_extend('force', vim.deepcopy(M.defaults), options)
  for _, list in ipairs({ 'filetypes_off', 'root_markers' }) do
    M.current[list] = options[list] or M.current[list]
  end
end

return M
