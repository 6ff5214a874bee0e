-- Units of work in Redis: every command is one change, which happens as a whole or not at all.
--
-- KEYS[1] is the prefix of all keys, ARGV[1] the command, the rest its arguments. Time is that of the server, so that
-- machines need not agree on it. Each command may be sent twice, as is done when a connection breaks: the second time it
-- changes nothing, and answers the same.
--
--   unit:ID        hash    the unit
--   saved:ID       hash    its checkpoints: [scope, key] as JSON -> "version token state"
--   state:STATE    zset    ids by number
--   part:PART      zset    ids by number of those that have not ended; the first one is the one whose turn it is
--   due            zset    ids by time of those that wait for a moment
--   put            zset    of those that were put back to wait, the ids by the time of that
--   expiry         zset    ids by time of those that were never begun and will not be after that
--   sent:LANE      zset    ids by turn of those whose message is on its way; a lane is a queue and a priority in it
--   taken          hash    lane -> the turn of the latest one that was taken from it
--   keys           hash    idempotency key -> id
--   ended          zset    ids by time
--   results, uses  hash    hash -> a result that is kept once; hash -> by how many units
--   crews, hands:C hash    crew -> its beats; set of the units that it has

local prefix, command = KEYS[1] .. ':', ARGV[1]
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000

local function key(name) return prefix .. name end
local function unit(id) return prefix .. 'unit:' .. id end
local function written(seconds) return string.format('%.6f', seconds) end
local function get(id, field) return redis.call('HGET', unit(id), field) or '' end
local function set(id, ...) redis.call('HSET', unit(id), ...) end

local function move(id, state)
    local number = get(id, 'number')
    redis.call('ZREM', key('state:' .. get(id, 'state')), id)
    redis.call('ZADD', key('state:' .. state), number, id)
    set(id, 'state', state)
end

-- Units whose messages the caller is to send: id, queue, priority, and so on.
local sending = {}

local function send(id)
    local lane = get(id, 'lane')
    redis.call('ZREM', key('due'), id)
    redis.call('ZREM', key('put'), id)
    redis.call('SADD', key('lanes'), lane)
    redis.call('ZADD', key('sent:' .. lane), redis.call('INCR', key('turns')), id)
    table.insert(sending, id)
    table.insert(sending, lane)
end

local function unsend(id)
    redis.call('ZREM', key('sent:' .. get(id, 'lane')), id)
end

-- What is first of its partition, or of none, is sent, now or at its time.
local function come_up(id)
    local moment = tonumber(get(id, 'not_before'))
    if moment and moment > now then
        redis.call('ZADD', key('due'), moment, id)
    else
        send(id)
    end
end

local function is_known(id) return redis.call('EXISTS', unit(id)) == 1 end

local function is_first(id)
    local part = get(id, 'part')
    return part == '' or redis.call('ZRANGE', key('part:' .. part), 0, 0)[1] == id
end

local function free_key(id)
    local name = get(id, 'key')
    if name ~= '' and redis.call('HGET', key('keys'), name) == id then
        redis.call('HDEL', key('keys'), name)
    end
end

local function let_go(id)
    local crew = get(id, 'crew')
    if crew ~= '' then redis.call('SREM', key('hands:' .. crew), id) end
    redis.call('HDEL', unit(id), 'crew')
end

local function finish(id, state)
    local part = get(id, 'part')
    local was_first = is_first(id)
    unsend(id)
    let_go(id)
    move(id, state)
    set(id, 'finished_at', written(now))
    redis.call('ZREM', key('due'), id)
    redis.call('ZREM', key('put'), id)
    redis.call('ZREM', key('expiry'), id)
    redis.call('ZADD', key('ended'), now, id)
    if state ~= 'succeeded' then free_key(id) end
    if part ~= '' then
        redis.call('ZREM', key('part:' .. part), id)
        local next = redis.call('ZRANGE', key('part:' .. part), 0, 0)[1]
        if was_first and next then come_up(next) end
    end
end

-- Each attempt has a token of its own, by which it is known.
local function is_held(id, token) return get(id, 'state') == 'running' and get(id, 'token') == token end

local function add(id, name, fields)
    if is_known(id) then return {id, '0'} end
    if name ~= '' then
        local other = redis.call('HGET', key('keys'), name)
        if other then return {other, '1'} end
        redis.call('HSET', key('keys'), name, id)
    end
    local number = redis.call('INCR', key('numbers'))
    redis.call('HSET', unit(id), unpack(fields))
    set(id, 'number', number, 'state', 'queued', 'attempts', 0, 'losses', 0, 'queued_at', written(now))
    redis.call('ZADD', key('state:queued'), number, id)
    local part, patience = get(id, 'part'), tonumber(get(id, 'patience'))
    if patience then redis.call('ZADD', key('expiry'), now + patience, id) end
    if part ~= '' then redis.call('ZADD', key('part:' .. part), number, id) end
    if is_first(id) then come_up(id) end
    return {id, '0'}
end

-- A crew has died, or gives back what it has.
local function bury(crew, most)
    local had = redis.call('SMEMBERS', key('hands:' .. crew))
    redis.call('HDEL', key('crews'), crew)
    for _, id in ipairs(had) do
        local losses = redis.call('HINCRBY', unit(id), 'losses', 1)
        if get(id, 'cancel') ~= '' then
            finish(id, 'cancelled')
        elseif losses > most then
            local words = 'the process that worked on it died ' .. losses .. ' times'
            set(id, 'error', cjson.encode({type = 'WorkerLost', message = words}))
            finish(id, 'failed')
        else
            let_go(id)
            move(id, 'queued')
            send(id)
        end
    end
    redis.call('DEL', key('hands:' .. crew))
    return #had
end

local function forget(id)
    local result = get(id, 'result')
    if string.sub(result, 1, 1) == '#' then
        local hash = string.sub(result, 2)
        if redis.call('HINCRBY', key('uses'), hash, -1) <= 0 then
            redis.call('HDEL', key('uses'), hash)
            redis.call('HDEL', key('results'), hash)
        end
    end
    free_key(id)
    redis.call('ZREM', key('state:' .. get(id, 'state')), id)
    redis.call('ZREM', key('ended'), id)
    redis.call('DEL', unit(id), key('saved:' .. id))
end

local function up_to(name, moment, most)
    return redis.call('ZRANGEBYSCORE', key(name), '-inf', moment, 'LIMIT', 0, most)
end

local commands = {}

-- id, key, then fields and values
function commands.add()
    local found = add(ARGV[2], ARGV[3], {unpack(ARGV, 4)})
    return {found[1], found[2], sending}
end

-- id, crew, token of the attempt
function commands.take()
    local id, crew, token = ARGV[2], ARGV[3], ARGV[4]
    if not is_held(id, token) then
        local turn = redis.call('ZSCORE', key('sent:' .. get(id, 'lane')), id)
        if not turn then return {false, sending} end  -- a message that came twice, or late
        local until_when = redis.call('ZSCORE', key('expiry'), id)
        if until_when and tonumber(until_when) <= now then
            finish(id, 'expired')
            return {false, sending}
        end
        local lane = get(id, 'lane')
        local latest = tonumber(redis.call('HGET', key('taken'), lane) or 0)
        if tonumber(turn) > latest then redis.call('HSET', key('taken'), lane, turn) end
        unsend(id)
        redis.call('ZREM', key('expiry'), id)
        move(id, 'running')
        redis.call('HINCRBY', unit(id), 'attempts', 1)
        set(id, 'crew', crew, 'token', token, 'started_at', written(now))
        redis.call('HSETNX', key('crews'), crew, 0)
        redis.call('SADD', key('hands:' .. crew), id)
    end
    local fields = {'number', 'kind', 'plugin', 'hook', 'args', 'code', 'attempts', 'losses'}
    return {redis.call('HMGET', unit(id), unpack(fields)), sending}
end

-- id, token, state, error or '', result or '', its hash or ''
function commands.finish()
    local id, token, state, err, result, hash = unpack(ARGV, 2)
    if not is_held(id, token) then return {get(id, 'ended_by') == token and '1' or '0', sending} end
    if err ~= '' then set(id, 'error', err) end
    if state == 'succeeded' then
        if hash ~= '' then
            redis.call('HSETNX', key('results'), hash, result)
            redis.call('HINCRBY', key('uses'), hash, 1)
            result = '#' .. hash
        end
        set(id, 'result', result)
        redis.call('DEL', key('saved:' .. id))
    end
    set(id, 'ended_by', token)
    finish(id, state)
    return {'1', sending}
end

-- id, token, seconds, error or '', what it counts as: 'attempt', 'loss' or ''; losses at most
function commands.put_back()
    local id, token, seconds, err, counts, most = unpack(ARGV, 2)
    if not is_held(id, token) then return {get(id, 'ended_by') == token and '1' or '0', sending} end
    set(id, 'ended_by', token)
    if err == '' then redis.call('HDEL', unit(id), 'error') else set(id, 'error', err) end
    -- A loss is an attempt as well: attempts less losses are those that count.
    if counts == 'loss' then redis.call('HINCRBY', unit(id), 'losses', 1) end
    if counts == '' then redis.call('HINCRBY', unit(id), 'attempts', -1) end
    if get(id, 'cancel') ~= '' then
        finish(id, 'cancelled')
    elseif counts == 'loss' and tonumber(get(id, 'losses')) > tonumber(most) then
        finish(id, 'failed')
    else
        let_go(id)
        move(id, 'queued')
        if tonumber(seconds) > 0 then
            redis.call('ZADD', key('due'), now + tonumber(seconds), id)
            redis.call('ZADD', key('put'), now, id)
        else
            send(id)
        end
    end
    return {'1', sending}
end

-- id, token, field, state, expected version or '', what the caller calls this change
function commands.save()
    local id, token, field, state, expected, change = unpack(ARGV, 2)
    if not is_held(id, token) then return {'0', '', ''} end
    local cancel = get(id, 'cancel')
    local saved = redis.call('HGET', key('saved:' .. id), field)
    local version, before = string.match(saved or '0 - ', '^(%d+) (%S+) ')
    if before ~= change then
        if expected ~= '' and expected ~= version then return {'2', version, ''} end
        version = string.format('%d', tonumber(version) + 1)
        redis.call('HSET', key('saved:' .. id), field, version .. ' ' .. change .. ' ' .. state)
    end
    return {'1', version, cancel}
end

-- for each unit: id, token, percent or '', message
function commands.tell()
    for at = 2, #ARGV, 4 do
        local id, token, percent, message = unpack(ARGV, at, at + 3)
        if is_held(id, token) then
            if percent ~= '' then set(id, 'progress', percent) end
            set(id, 'message', message)
        end
    end
    return {}
end

-- id
function commands.cancel()
    local id = ARGV[2]
    if not is_known(id) then return {'', sending} end
    local state = get(id, 'state')
    if state == 'queued' then
        finish(id, 'cancelled')
        state = 'cancelled'
    elseif state == 'running' then
        set(id, 'cancel', '1')
    end
    return {state, sending}
end

-- id, id of the copy, seconds that it waits at most or '', code or ''
function commands.again()
    local id, copy, patience, code = unpack(ARGV, 2)
    if is_known(copy) then return {'1', sending} end
    if get(id, 'finished_at') == '' then return {'0', sending} end
    local name = get(id, 'key')
    free_key(id)
    set(id, 'key', '')
    if name ~= '' and redis.call('HEXISTS', key('keys'), name) == 1 then name = '' end
    if code == '' then code = get(id, 'code') end
    local fields = {'id', copy, 'key', name, 'patience', patience, 'code', code}
    for _, field in ipairs({'kind', 'plugin', 'hook', 'args', 'part', 'lane'}) do
        table.insert(fields, field)
        table.insert(fields, get(id, field))
    end
    add(copy, name, fields)
    return {'1', sending}
end

-- crew, whether it beats: the attempts that it has, each with '1' if nobody wants it any more
function commands.look()
    local crew, found = ARGV[2], {}
    if ARGV[3] == '1' then redis.call('HINCRBY', key('crews'), crew, 1) end
    for _, id in ipairs(redis.call('SMEMBERS', key('hands:' .. crew))) do
        table.insert(found, get(id, 'token'))
        table.insert(found, get(id, 'cancel'))
        table.insert(found, id)
    end
    return found
end

-- id, token: nobody works on this attempt, whoever took it never heard that it had
function commands.lost()
    local id, token = ARGV[2], ARGV[3]
    if is_held(id, token) and get(id, 'cancel') ~= '' then
        finish(id, 'cancelled')
    elseif is_held(id, token) then
        redis.call('HINCRBY', unit(id), 'attempts', -1)
        let_go(id)
        move(id, 'queued')
        send(id)
    end
    return {sending}
end

-- crew, losses at most
function commands.bury()
    return {bury(ARGV[2], tonumber(ARGV[3])), sending}
end

-- how many at most of each, seconds that ended units are kept
function commands.keep()
    local most, kept = tonumber(ARGV[2]), tonumber(ARGV[3])
    for _, id in ipairs(up_to('due', now, most)) do send(id) end
    for _, id in ipairs(up_to('expiry', now, most)) do finish(id, 'expired') end
    -- What was put back in the future was put back by a clock that has been set back since.
    for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('put'), '(' .. written(now), '+inf', 'LIMIT', 0, most)) do
        send(id)
    end
    for _, id in ipairs(up_to('ended', now - kept, most)) do forget(id) end
    local overtaken, lanes = {}, {}
    for _, lane in ipairs(redis.call('SMEMBERS', key('lanes'))) do
        if redis.call('EXISTS', key('sent:' .. lane)) == 1 then table.insert(lanes, lane) end
        local latest = redis.call('HGET', key('taken'), lane) or 0
        for _, id in ipairs(redis.call('ZRANGEBYSCORE', key('sent:' .. lane), '-inf', latest, 'LIMIT', 0, most)) do
            table.insert(overtaken, id)
        end
    end
    return {sending, redis.call('HGETALL', key('crews')), overtaken, lanes}
end

-- lane, how many at most: units whose messages are on their way in it
function commands.under_way()
    return redis.call('ZRANGE', key('sent:' .. ARGV[2]), 0, tonumber(ARGV[3]) - 1)
end

-- ids whose messages were lost
function commands.resend()
    for at = 2, #ARGV do
        local lane = get(ARGV[at], 'lane')
        if redis.call('ZSCORE', key('sent:' .. lane), ARGV[at]) then send(ARGV[at]) end
    end
    return {sending}
end

return commands[command]()
