-- http-request lua.ratchet_verify <host:port of Ratchet> <roles> <class> <age in seconds>
--
-- The last three are demands (docs/gateways.md), "-" is none.
--
-- Sets txn.ratchet_status to 200, 401 or 403, and to 503 when Ratchet cannot decide or does not answer. Sets the identity
-- headers of the request on 200 only. The variable stays unset if this script fails, so let only 200 pass.

local IDENTITY_HEADERS =
  { 'x-user-id', 'x-user-roles', 'x-user-scope', 'x-session-id', 'x-token-id', 'x-token-expires-at',
    'x-auth-acr', 'x-auth-amr', 'x-auth-time' }

-- The second is that of http://localhost.
local ACCESS_COOKIES = { '__Host-Http-ratchet-access', 'ratchet-access' }

local BROWSER_HEADERS = { 'origin', 'sec-fetch-site', 'sec-fetch-mode', 'sec-fetch-dest' }

local TIMEOUT_MS = 2000

-- HAProxy counts the values of a header from 0.
local function first(headers, name)
  local values = headers[name]
  return values and values[0]
end

local function identity_of(headers)
  local identity = {}
  for _, name in ipairs(IDENTITY_HEADERS) do
    identity[name] = first(headers, name)
    if identity[name] == nil then
      return nil
    end
  end
  return identity
end

local function ratchet_verify(txn, address, roles, class, age)
  local question = { ['x-forwarded-for'] = { txn.f:src() } }
  -- If there are several, send all of them: Ratchet refuses that.
  local authorization = {}
  for _, value in pairs(txn.http:req_get_headers()['authorization'] or {}) do
    table.insert(authorization, value)
  end
  if #authorization > 0 then
    question['authorization'] = authorization
  end
  -- The cookie counts only if a browser says where the request comes from, and what it may change.
  for _, name in ipairs(ACCESS_COOKIES) do
    local value = txn.f:req_cook(name)
    if value and value:match('^[A-Za-z0-9._-]+$') then
      question['cookie'] = { name .. '=' .. value }
      break
    end
  end
  for _, name in ipairs(BROWSER_HEADERS) do
    local value = txn.f:req_fhdr(name)
    if value and value ~= '' then
      question[name] = { value }
    end
  end
  question['x-original-method'] = { txn.f:method() }
  local demands = { ['x-require-role'] = roles, ['x-require-acr'] = class, ['x-require-max-age'] = age }
  for name, value in pairs(demands) do
    if value ~= '-' then
      question[name] = { value }
    end
  end

  local answer = core.httpclient():get({
    url = 'http://' .. address .. '/auth/verify',
    headers = question,
    timeout = TIMEOUT_MS,
  })
  local headers = answer and answer.headers or {}
  local status = answer and answer.status or 503
  local identity = status == 200 and identity_of(headers)

  if identity then
    for name, value in pairs(identity) do
      txn.http:req_set_header(name, value)
    end
    txn:set_var('txn.ratchet_user_id', identity['x-user-id'])
  elseif status ~= 401 and status ~= 403 then
    status = 503
  end
  txn:set_var('txn.ratchet_error', first(headers, 'x-auth-error') or '')
  txn:set_var('txn.ratchet_challenge', first(headers, 'www-authenticate') or 'Bearer')
  txn:set_var('txn.ratchet_status', status)
end

core.register_action('ratchet_verify', { 'http-req' }, ratchet_verify, 4)
