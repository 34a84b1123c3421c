--- Finds, starts and watches over `fimls --stdio`.
local config = require('fimls.config')
local session = require('fimls.session')
local api = vim.api

local M = {}

--- The last `fimls/status` of the server, or what the plugin knows by itself.
---@class fimls.Status
---@field state "stopped"|"loading"|"idle"|"thinking"|"off"|"error"
---@field message string  why
---@field nextStep? string  what to do about it
---@field model? string
M.status = { state = 'stopped', message = 'the server has not been started' }

--- The last message of the server, whole.
M.message = nil ---@type string?

function M.set_status(status)
  local was_ready = M.status.state == 'idle' or M.status.state == 'thinking'
  M.status = vim.tbl_extend('force', { message = '' }, status)
  api.nvim_exec_autocmds('User', { pattern = 'FimlsStatus', modeline = false, data = M.status })
  vim.cmd.redrawstatus({ bang = true })
  local current = session.get()
  if current and not was_ready and M.status.state == 'idle' then
    current:ask_again()
  end
end

local STARTING = 'the server is starting'

local INSTALL = 'install it with "pipx install ." in its repository, or set `cmd`; '
  .. 'see :help fimls-install'

--- The command of the server, or nil and what to do.
---@param root? string
---@return string[]? cmd
---@return string? complaint
function M.command(root)
  local cmd = config.current.cmd
  if cmd then
    if vim.fn.executable(cmd[1]) == 1 then
      return cmd
    end
    return nil, ('fimls: `cmd` names %s, which cannot be run'):format(cmd[1])
  end
  for _, venv in ipairs({ '.venv', 'venv' }) do
    local own = root and ('%s/%s/bin/fimls'):format(root, venv)
    if own and vim.fn.executable(own) == 1 then
      return { own, '--stdio' }
    end
  end
  if vim.fn.executable('fimls') == 1 then
    return { 'fimls', '--stdio' }
  end
  return nil, 'fimls: the server is not installed; ' .. INSTALL
end

--- Says something without stopping whoever types: a message longer than the line would wait for
--- <Enter>. All of it is in :Fimls status and in the log.
function M.say(text, level)
  local line = text:gsub('%s*\n%s*', '; ')
  local more = '… (:Fimls status)'
  local room = vim.o.columns - 13 -- what 'showcmd' and 'ruler' may take
  if vim.fn.strdisplaywidth(line) > room then
    line = vim.fn.strcharpart(line, 0, room - vim.fn.strdisplaywidth(more)) .. more
  end
  vim.notify(line, level or vim.log.levels.INFO)
end

local told = {} -- one message of each kind is enough

local function tell(text, level)
  if not told[text] then
    told[text] = true
    vim.schedule(function()
      M.say(text, level or vim.log.levels.WARN)
    end)
  end
end

-- Crashes within this time are counted; after so many of them the server stays down.
local CRASH_WINDOW_S, CRASHES = 180, 4
local crashes = {}
local stopping = false

local function exited(code, signal, buffers)
  for _, buf in ipairs(buffers) do
    session.detach(buf)
  end
  if stopping or vim.v.exiting ~= vim.NIL or (code == 0 and signal == 0) then
    return M.set_status({ state = 'stopped', message = 'the server has been stopped' })
  end
  local now = os.time()
  crashes = vim.tbl_filter(function(time)
    return now - time < CRASH_WINDOW_S
  end, crashes)
  crashes[#crashes + 1] = now
  local how = signal ~= 0 and ('signal %d'):format(signal) or ('exit code %d'):format(code)
  if #crashes >= CRASHES then
    local text = ('fimls: the server ended with %s, %d times in a row and stays down; '
      .. ':Fimls log shows why, :Fimls restart tries again'):format(how, #crashes)
    M.set_status({ state = 'error', message = text })
    return tell(text, vim.log.levels.ERROR)
  end
  M.set_status({ state = 'loading', message = 'the server ended with ' .. how .. ', restarting' })
  -- 0.2 s, 0.8 s, 1.8 s: a crash at start-up does not become a loop.
  vim.defer_fn(function()
    for _, buf in ipairs(buffers) do
      M.start(buf)
    end
  end, 200 * #crashes * #crashes)
end

--- Where a file belongs; a single file is served without a root.
function M.root(buf)
  return vim.fs.root(buf, config.current.root_markers)
end

--- Whether the server is to see this buffer at all.
local function wanted(buf)
  return api.nvim_buf_is_loaded(buf)
    and vim.bo[buf].buftype == ''
    and not vim.tbl_contains(config.current.filetypes_off, vim.bo[buf].filetype)
end

-- One server for all projects: each would load the model again.
local function reuse(client, wanted_config)
  return client.name == wanted_config.name and not client:is_stopped()
end

local function reuse_010(client, wanted_config)
  return client.name == wanted_config.name and not client.is_stopped()
end

--- Tells a server that is shared about one more project.
local function add_root(client, root)
  local folders = client.workspace_folders or {}
  local uri = root and vim.uri_from_fname(root)
  if not uri or vim.iter(folders):any(function(folder)
    return folder.uri == uri
  end) then
    return
  end
  local added = { uri = uri, name = vim.fs.basename(root) }
  client.workspace_folders = vim.list_extend({ added }, folders)
  local params = { event = { added = { added }, removed = {} } }
  if vim.fn.has('nvim-0.11') == 1 then
    client:notify('workspace/didChangeWorkspaceFolders', params)
  else
    client.notify('workspace/didChangeWorkspaceFolders', params)
  end
end

-- LSP MessageType
local LEVELS = {
  vim.log.levels.ERROR,
  vim.log.levels.WARN,
  vim.log.levels.INFO,
  vim.log.levels.DEBUG,
}

--- The client's configuration, as vim.lsp.config and vim.lsp.start take it.
function M.client_config()
  local capabilities = vim.lsp.protocol.make_client_capabilities()
  -- fimls/status notifications, please, and the first lines of long completions before their end.
  capabilities.experimental = { fimls = { status = true, grows = true } }
  local settings = config.current.settings
  -- An empty Lua table is a list in JSON, unless told otherwise.
  settings = next(settings) and settings or vim.empty_dict()
  return {
    name = 'fimls',
    capabilities = capabilities,
    settings = { fimls = settings },
    init_options = settings,
    handlers = {
      ['fimls/status'] = function(_, status)
        M.set_status(status)
        return vim.NIL
      end,
      ['fimls/grown'] = function(_, params)
        local shown = params.changed and session.get()
        if shown and vim.uri_from_bufnr(shown.buf) == params.uri then
          shown:grow()
        end
        return vim.NIL
      end,
      ['window/showMessage'] = function(_, params)
        M.message = params.message
        M.say(params.message, LEVELS[params.type])
        return vim.NIL
      end,
      -- A question in the middle of typing would eat keys. What the server asks is whether to
      -- fetch a missing model, and `:Fimls pull` says yes to that at any time.
      ['window/showMessageRequest'] = function(_, params)
        M.message = params.message .. '\n:Fimls pull fetches it.'
        M.say('fimls: the model is not here yet; :Fimls pull', vim.log.levels.WARN)
        return vim.NIL
      end,
    },
  }
end

--- Starts the program. Neovim hears of its end only after the plugin, and of nothing bad: it
--- would show two lines about it and wait for <Enter>.
local function spawn(cmd, root, dispatchers)
  if M.status.state == 'stopped' then
    M.set_status({ state = 'loading', message = STARTING })
  end
  local on_exit = dispatchers.on_exit
  dispatchers.on_exit = function(code, signal)
    local buffers = session.buffers() -- Neovim detaches them
    on_exit(0, 0)
    vim.schedule(function()
      exited(code, signal, buffers)
    end)
  end
  return vim.lsp.rpc.start(cmd, dispatchers, { cwd = root })
end

--- The command for a project, or nil after having said, once, why there is none.
local function command_or_tell(root)
  local cmd, complaint = M.command(root)
  if not cmd then
    M.set_status({ state = 'error', message = complaint })
    tell(complaint, vim.log.levels.ERROR)
  end
  return cmd
end

--- Starts (or joins) the server for one buffer.
function M.start(buf)
  if not wanted(buf) then
    return
  end
  local root = M.root(buf)
  local cmd = command_or_tell(root)
  if not cmd then
    return
  end
  local settings = vim.lsp.config and vim.deepcopy(vim.lsp.config.fimls) or M.client_config()
  settings.root_dir = root
  settings.cmd = function(dispatchers)
    return spawn(cmd, root, dispatchers)
  end
  local id = vim.lsp.start(settings, {
    bufnr = buf,
    reuse_client = vim.fn.has('nvim-0.11') == 1 and reuse or reuse_010,
  })
  local client = id and vim.lsp.get_client_by_id(id)
  if client then
    add_root(client, root)
  end
end

--- Neovim 0.11 and newer start the server themselves, where vim.lsp.enable() says so.
local function enable()
  local settings = M.client_config()
  local last_root
  settings.reuse_client = reuse
  settings.root_dir = function(buf, on_dir)
    local root = M.root(buf)
    if wanted(buf) and command_or_tell(root) then
      last_root = root
      on_dir(root)
    end
  end
  settings.cmd = function(dispatchers, resolved)
    local root = resolved and resolved.root_dir or last_root
    return spawn(assert(M.command(root)), root, dispatchers)
  end
  vim.lsp.config('fimls', settings)
  vim.lsp.enable('fimls')
end

function M.stop()
  stopping = true
  for _, client in ipairs(vim.lsp.get_clients({ name = 'fimls' })) do
    local stop = vim.fn.has('nvim-0.11') == 1 and client.stop
      or function(it)
        it.stop()
      end
    stop(client)
  end
end

local function all_buffers()
  return vim.tbl_filter(api.nvim_buf_is_loaded, api.nvim_list_bufs())
end

--- Ends the server and starts a new one, for every buffer that had it.
function M.restart()
  told, crashes = {}, {}
  local clients = vim.lsp.get_clients({ name = 'fimls' })
  M.stop()
  local tries = 0
  local function again()
    tries = tries + 1
    local gone = vim.iter(clients):all(function(client)
      return vim.lsp.get_client_by_id(client.id) == nil
    end)
    if not gone and tries < 50 then
      return vim.defer_fn(again, 100)
    end
    stopping = false
    for _, buf in ipairs(all_buffers()) do
      M.start(buf)
    end
  end
  again()
end

function M.setup()
  local group = api.nvim_create_augroup('fimls', { clear = true })
  if vim.lsp.enable then
    enable()
  else
    api.nvim_create_autocmd('FileType', {
      group = group,
      callback = function(event)
        M.start(event.buf)
      end,
    })
  end
  -- Files without a filetype.
  api.nvim_create_autocmd({ 'BufReadPost', 'BufNewFile', 'BufFilePost' }, {
    group = group,
    callback = function(event)
      vim.schedule(function()
        if api.nvim_buf_is_valid(event.buf) and vim.bo[event.buf].filetype == '' then
          M.start(event.buf)
        end
      end)
    end,
  })
  api.nvim_create_autocmd('LspAttach', {
    group = group,
    callback = function(event)
      local client = vim.lsp.get_client_by_id(event.data.client_id)
      if client and client.name == 'fimls' then
        vim.b[event.buf].fimls_client = client.id
        local untold = M.status.state == 'stopped' or M.status.message == STARTING
        if untold or M.status.state == 'error' then
          M.set_status({ state = 'idle', message = '' })
        end
        add_root(client, M.root(event.buf))
        session.attach(event.buf)
      end
    end,
  })
  api.nvim_create_autocmd('LspDetach', {
    group = group,
    callback = function(event)
      if vim.b[event.buf].fimls_client == event.data.client_id then
        session.detach(event.buf)
      end
    end,
  })
  for _, buf in ipairs(all_buffers()) do
    if not vim.lsp.enable or vim.bo[buf].filetype == '' then
      M.start(buf)
    end
  end
end

--- Sends a command of the server and hands its answer to `done(err, result)`.
function M.execute(command, arguments, done)
  local client = vim.lsp.get_clients({ bufnr = 0, name = 'fimls' })[1]
    or vim.lsp.get_clients({ name = 'fimls' })[1]
  if not client then
    return vim.notify('fimls: no server is running; see :checkhealth fimls', vim.log.levels.WARN)
  end
  local params = { command = command, arguments = arguments }
  if vim.fn.has('nvim-0.11') == 1 then
    client:request('workspace/executeCommand', params, done, 0)
  else
    client.request('workspace/executeCommand', params, done, 0)
  end
end

return M
