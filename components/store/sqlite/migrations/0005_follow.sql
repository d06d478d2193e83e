-- Requests to follow: the acceptance, an item without text, is written with what it answers, whatever the profile says.

CREATE VIEW IF NOT EXISTS intake_followed (document, body) AS SELECT NULL, NULL WHERE FALSE;
-- next
CREATE TRIGGER IF NOT EXISTS intake_followed_write INSTEAD OF INSERT ON intake_followed BEGIN
  INSERT INTO intake_answered (document, body) VALUES (NEW.document, NEW.body);
  INSERT INTO outbox (tenant, id, connector, case_id, event, text, author, automatic, created_at, due_at)
    SELECT v.tenant, p.value ->> 'acceptance', v.connector, v.case_id, v.seq, '', 'ventanilla', TRUE, x.received_at, x.received_at
    FROM (SELECT NEW.document ->> '$.envelope.tenant' AS tenant, NEW.document ->> '$.envelope.connector' AS connector,
        NEW.document ->> '$.envelope.received_at' AS received_at) x
    CROSS JOIN json_each(NEW.document, '$.events') p
    CROSS JOIN events v INDEXED BY events_once
    WHERE v.tenant = x.tenant AND v.connector = x.connector AND v.idempotency_key = p.value ->> 'key'
      AND p.value ->> 'acceptance' IS NOT NULL AND v.id = p.value ->> 'id' AND v.case_id IS NOT NULL
    ORDER BY p.key;
END;
