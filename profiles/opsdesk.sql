-- SPDX-License-Identifier: Apache-2.0
-- Tables the opsdesk profile reads. May be run again: what is there stays.
CREATE TABLE IF NOT EXISTS users (
	id uuid PRIMARY KEY,
	external_id text UNIQUE
);

CREATE TABLE IF NOT EXISTS tickets (
	id uuid PRIMARY KEY,
	owner_id uuid,
	status text
);

CREATE INDEX IF NOT EXISTS tickets_owner_id ON tickets (owner_id);
