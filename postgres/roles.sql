-- The roles of a Ratchet database. Run this once, in that database, as a superuser or as the administrator of a managed
-- PostgreSQL; a second run changes nothing. A new role cannot log in until you have given it a password.
-- grants.sql says what each role may do with the tables.
--
--   ratchet_migrator   owns the schema: applies migrations, and runs grants.sql after them
--   ratchet_service    serves: the instances connect as this role
--   ratchet_operator   the command line: has the service's privileges and those that only operators need

begin;
set local search_path = public;

do $$
declare
  role_name text;
begin
  foreach role_name in array array['ratchet_migrator', 'ratchet_service', 'ratchet_operator'] loop
    if to_regrole(role_name) is null then
      execute format('create role %I login', role_name);
    end if;
    -- Names in statements mean tables of this schema, never temporary tables that hide them.
    execute format('alter role %I in database %I set search_path = public, pg_temp', role_name, current_database());
  end loop;
end $$;

grant ratchet_service to ratchet_operator;

-- PUBLIC includes the roles of other applications on this server, and roles that are created later.
do $$
begin
  execute format('revoke connect, temporary on database %I from public', current_database());
  execute format('grant connect on database %I to ratchet_migrator, ratchet_service', current_database());
end $$;
revoke create on schema public from public;
grant usage on schema public to ratchet_service;
grant usage, create on schema public to ratchet_migrator;

-- In a database that one role has migrated and served so far, the migrator becomes the owner. Instances that still
-- connect as that role need "grant ratchet_migrator to <role>" until they are gone, unless it is a superuser.
do $$
declare
  made regclass;
begin
  for made in
    select oid::regclass from pg_class
    where relnamespace = 'public'::regnamespace and relkind = 'r' and relowner <> to_regrole('ratchet_migrator')
      and relname in (
        'schema_migrations', 'users', 'refresh_token_families', 'signing_keys', 'rate_limits', 'instances', 'tickets',
        'outgoing_mails', 'known_clients', 'totp_factors', 'recovery_codes', 'passkeys'
      )
  loop
    execute format('alter table %s owner to ratchet_migrator', made);
  end loop;
  if to_regprocedure('are_role_names(text[])') is not null then
    alter function are_role_names(text[]) owner to ratchet_migrator;
  end if;
end $$;

commit;
