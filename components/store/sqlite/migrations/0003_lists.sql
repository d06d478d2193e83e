-- Lists of cases are read in their own order, newest first, a page at a time.

CREATE INDEX IF NOT EXISTS cases_in_order ON cases (tenant, id);
-- next
CREATE INDEX IF NOT EXISTS cases_by_channel ON cases (tenant, channel, id);
-- next
-- As `contact_rows`, with the way through the indexes said: without statistics SQLite takes any index that begins with the
-- tenant, and so reads every contact of the tenant for each row.
CREATE VIEW IF NOT EXISTS contact_rows_2 (tenant, id, contact) AS
  SELECT k.tenant, k.id, json_object(
    'id', r.id,
    'name', coalesce(r.name, (SELECT m.name FROM contacts m INDEXED BY contacts_by_root
      WHERE m.tenant = k.tenant AND m.root = k.root AND m.name IS NOT NULL ORDER BY m.id LIMIT 1)),
    'handles', json((SELECT json_group_array(json_object('scheme', h.scheme, 'value', h.value))
      FROM contacts m INDEXED BY contacts_by_root CROSS JOIN handles h INDEXED BY handles_by_contact
      WHERE m.tenant = k.tenant AND m.root = k.root AND h.tenant = m.tenant AND h.contact = m.id)))
  FROM contacts k JOIN contacts r ON r.tenant = k.tenant AND r.id = k.root;
-- next
CREATE VIEW IF NOT EXISTS case_rows_2 (tenant, id, reference, status, channel, summary) AS
  SELECT c.tenant, c.id, c.reference, c.status, c.channel, json_object(
    'reference', c.reference, 'tenant', c.tenant, 'status', c.status, 'channel', c.channel, 'subject', c.subject,
    'contact', json((SELECT k.contact FROM contact_rows_2 k WHERE k.tenant = c.tenant AND k.id = c.contact)),
    'department', c.department, 'service_code', c.service_code, 'priority', c.priority, 'assignee', c.assignee,
    'opened_at', c.opened_at, 'updated_at', c.updated_at, 'first_response_at', c.first_response_at,
    'tasks', json((SELECT json_group_array(json_object('id', t.id, 'task', t.task, 'scheme', t.scheme, 'handle', t.handle,
        'created_at', t.created_at))
      FROM tasks t WHERE t.tenant = c.tenant AND t.case_id = c.id AND t.done_at IS NULL)))
  FROM cases c;
