/** The service's statements by what they do, for a proxy that looks for them. */
export const ROTATION = /^\s*with presented as materialized/;
export const COMMIT = /^commit$/;
export const REGISTRATION = /^insert into users/;
export const LOGOUT = /^with ended as \(\s*update refresh_token_families/;
