--- :checkhealth fimls
local M = {}

function M.check()
  local health = vim.health
  local config = require('fimls.config')
  local server = require('fimls.server')
  local session = require('fimls.session')

  health.start('Neovim')
  if vim.fn.has('nvim-0.10') == 0 then
    return health.error('Neovim 0.10 or newer is needed', { 'Install a newer Neovim' })
  end
  health.ok(('Neovim %s; suggestions are drawn by %s'):format(
    tostring(vim.version()),
    session.renderer().name == 'native' and 'vim.lsp.inline_completion' or "the plugin's extmarks"
  ))
  if vim.g.fimls_ready then
    health.ok('set up')
  else
    health.warn('not set up', { "Call require('fimls').setup(), or unset g:fimls if it is false" })
  end

  health.start('Server')
  local cmd, complaint = server.command(server.root(0))
  if not cmd then
    return health.error(complaint, { 'See docs/editors/neovim.md, "Install"' })
  end
  local program = vim.list_slice(cmd, 1, #cmd)
  if program[#program] == '--stdio' then
    program[#program] = nil
  end
  local done = vim.system(vim.list_extend(program, { '--version' }), { text = true }):wait(10000)
  local said = vim.trim((done.stdout or '') .. (done.stderr or ''))
  if done.code == 0 then
    health.ok(('%s: %s'):format(table.concat(cmd, ' '), said))
  else
    health.error(('%s does not run (exit code %d): %s'):format(cmd[1], done.code, said), {
      'Python 3.10 or newer is needed',
      'Reinstall with: pipx reinstall fimls',
    })
  end
  local clients = {}
  vim.wait(5000, function() -- it may just be starting
    clients = vim.lsp.get_clients({ name = 'fimls' })
    return #clients > 0 or server.status.state ~= 'loading'
  end)
  if #clients > 0 then
    health.ok(('running, for %d buffers'):format(#session.buffers()))
  else
    health.warn('not running', { 'Open a file of code', ':Fimls restart', ':Fimls log' })
  end
  local status = server.status
  local why = vim.trim((status.message or '') .. ' ' .. (status.nextStep or ''))
  local line = ('status: %s %s'):format(status.state, why)
  if status.state == 'error' then
    health.error(line, { 'Run "fimls doctor" in a terminal' })
  else
    health.info(line)
  end

  health.start('Keys')
  for name, lhs in vim.spairs(config.current.keys) do
    if lhs and lhs ~= '' then
      local map = vim.fn.maparg(lhs, 'i', false, true)
      if (map.desc or ''):match('^fimls: ') then
        health.ok(('%s: %s'):format(name, lhs))
      else
        health.warn(('%s: %s is mapped by something else now'):format(name, lhs), {
          'Choose another key with `keys` in setup()',
          'Or load fimls after the plugin that maps it: it keeps the former meaning',
        })
      end
    end
  end
end

return M
