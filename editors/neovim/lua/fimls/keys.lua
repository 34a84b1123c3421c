--- Keys that do something while a suggestion is shown and are what they were otherwise.
local config = require('fimls.config')
local session = require('fimls.session')

local M = {}

local former = {} -- lhs -> the mapping that was there before, as maparg() gives it

--- Whether a completion menu is open: Neovim's own, nvim-cmp's or blink.cmp's.
local function menu_open()
  if vim.fn.pumvisible() == 1 then
    return true
  end
  local cmp = package.loaded['cmp']
  if cmp and type(cmp.visible) == 'function' and cmp.visible() then
    return true
  end
  local blink = package.loaded['blink.cmp']
  return blink and type(blink.is_menu_visible) == 'function' and blink.is_menu_visible() or false
end

--- Whether a snippet waits to be jumped through: Neovim's own or LuaSnip's.
local function in_snippet()
  if vim.snippet and vim.snippet.active() then
    return true
  end
  local luasnip = package.loaded['luasnip']
  return luasnip and type(luasnip.locally_jumpable) == 'function' and luasnip.locally_jumpable(1)
    or false
end

-- <Tab>, <CR> and the arrows belong to menus and snippets; other keys do not mean anything there.
local SHARED = { ['<tab>'] = true, ['<s-tab>'] = true, ['<cr>'] = true, ['<up>'] = true,
  ['<down>'] = true, ['<right>'] = true, ['<c-n>'] = true, ['<c-p>'] = true, ['<c-y>'] = true }

local function taken(lhs)
  return SHARED[lhs:lower()] and (menu_open() or in_snippet())
end

local function termcodes(keys)
  return vim.api.nvim_replace_termcodes(keys, true, true, true)
end

--- What the key did before: keys for an <expr> mapping to return.
local function fall_back(lhs)
  local map = former[lhs]
  if not map or vim.tbl_isempty(map) then
    if lhs:lower() == '<tab>' and vim.snippet and vim.snippet.active({ direction = 1 }) then
      return termcodes('<Cmd>lua vim.snippet.jump(1)<CR>')
    end
    return termcodes(lhs)
  end
  local keys
  if map.callback then
    keys = map.callback()
    if map.expr ~= 1 or type(keys) ~= 'string' then
      return ''
    end
    keys = map.replace_keycodes == 1 and termcodes(keys) or keys
  elseif map.expr == 1 then
    local text = map.rhs:gsub('<SID>', ('<SNR>%d_'):format(map.sid))
    keys = vim.api.nvim_eval(text)
    keys = map.replace_keycodes == 1 and termcodes(keys) or keys
  else
    keys = termcodes((map.rhs:gsub('<SID>', ('<SNR>%d_'):format(map.sid))))
  end
  if map.noremap == 1 then
    return keys
  end
  vim.api.nvim_feedkeys(keys, 'im', false)
  return ''
end

local ACTIONS = {
  accept = 'accept',
  accept_line = 'accept_line',
  accept_word = 'accept_word',
  next = 'next',
  previous = 'previous',
  dismiss = 'dismiss',
}

function M.setup()
  M.clear()
  for name, lhs in pairs(config.current.keys) do
    if lhs and lhs ~= '' then
      local map = vim.fn.maparg(lhs, 'i', false, true)
      if map.buffer == 1 then
        map = {}
      end
      former[lhs] = map
      local command = ('<Cmd>lua require("fimls").%s()<CR>'):format(name)
      vim.keymap.set('i', lhs, function()
        if ACTIONS[name] then
          local current = session.get()
          if taken(lhs) or not current or not current:shown() then
            return fall_back(lhs)
          end
        end
        -- Accepted text is undone by itself, not with what was typed before it.
        local pause = name:match('^accept') and '<C-g>u' or ''
        return termcodes(pause .. command)
      end, { expr = true, replace_keycodes = false, desc = 'fimls: ' .. name })
    end
  end
end

--- Gives all keys back.
function M.clear()
  for lhs, map in pairs(former) do
    pcall(vim.keymap.del, 'i', lhs)
    if not vim.tbl_isempty(map) then
      vim.fn.mapset('i', false, map)
    end
  end
  former = {}
end

return M
