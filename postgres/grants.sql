-- What the roles of roles.sql may do with the tables. Run this as ratchet_migrator after every migration, before the new
-- version starts; a second run changes nothing. All other privileges on the tables are revoked. It is one statement, so
-- that serving instances see either the old privileges or the new ones, and a refusal is one error.
--
-- A privilege that a version no longer needs stays for one more version, because older instances are still serving.

do $$
begin
  set local search_path = public;
  if to_regclass('schema_migrations') is null then
    raise exception 'the tables do not exist yet; run the migrations first, as ratchet_migrator: npm run migration:run';
  end if;

  revoke all on schema_migrations, users, refresh_token_families, signing_keys, rate_limits, instances, tickets,
      outgoing_mails, known_clients, totp_factors, recovery_codes, passkeys
    from public, ratchet_service, ratchet_operator;

  -- The service checks at its start, and in its readiness probe, whether the schema is current.
  grant select on schema_migrations to ratchet_service;

  -- The service may not change a user's id, roles or status, and a registration gives no roles. It writes what users do:
  -- they change their password, their address and their factors. The operator sets a password for a user.
  grant
    select,
    insert (id, email, password_hash, email_verified_at, locale),
    update (password_hash, credential_version, email, email_verified_at, locale, second_factors)
    on users to ratchet_service;
  grant insert (roles), update (status, roles), delete on users to ratchet_operator;
  grant execute on function are_role_names(text[]) to ratchet_service;

  -- A session's user, secret and absolute end (invariant 7) never change. Rows are deleted long after that end.
  grant
    select,
    insert,
    update (
      generation, key_id, rotated_at, retry_key_hash, retry_key_from_client, retry_key_history, user_agent, ip_address,
      amr, auth_time, revoked_at, revoked_xid, revoke_reason
    ),
    delete
    on refresh_token_families to ratchet_service;

  -- The service creates keys and changes their status. A key pair itself never changes; only an operator re-encrypts it,
  -- after a change of AUTH_SECRET.
  grant select, insert, update (status, activated_at, retiring_at), delete on signing_keys to ratchet_service;
  grant update (private_key_encrypted, encryption_key_id) on signing_keys to ratchet_operator;

  -- Counters of attempts, which the service creates and deletes.
  grant select, insert, update (points, expire), delete on rate_limits to ratchet_service;

  -- One row per instance, with its last heartbeat.
  grant select, insert, update (seen_at, history), delete on instances to ratchet_service;

  -- What a ticket is for, whose it is and when it expires never change. Rows are deleted an hour after that.
  grant select, insert, update (attempts, consumed_at, consumed_by), delete on tickets to ratchet_service;

  -- What a mail is about never changes. Of one that has been sent, the service removes to whom and what it said.
  grant
    select,
    insert,
    update (recipient, params, attempts, next_attempt_at, sent_at, failed_at, last_error),
    delete
    on outgoing_mails to ratchet_service;

  -- Where users have signed in from; who and where never change.
  grant select, insert, update (last_seen), delete on known_clients to ratchet_service;

  -- Second factors. Whose they are and what they verify by never change; only an operator re-encrypts a secret, after a
  -- change of AUTH_SECRET.
  grant select, insert, update (confirmed_at, last_step, last_used_at), delete on totp_factors to ratchet_service;
  grant update (secret_encrypted, encryption_key_id) on totp_factors to ratchet_operator;
  grant select, insert, update (used_at), delete on recovery_codes to ratchet_service;
  grant select, insert, update (sign_count, backed_up, name, last_used_at), delete on passkeys to ratchet_service;
end $$;
