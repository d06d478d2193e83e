-- What was erased while it was being sent.

-- As before; but it is not tried again, and gets no message id: a courier that had it before the erasure brought both back. That it was sent is kept.
CREATE OR REPLACE PROCEDURE ventanilla.settle_1(p_id text, p_at bigint, p_state text, p_due bigint, p_message_id text, p_reason text,
  p_done bigint, INOUT answer text) LANGUAGE plpgsql AS $$
BEGIN
  PERFORM ventanilla.enter_to_write_1('');
  PERFORM ventanilla.enter_all_1();
  UPDATE ventanilla.outbox o SET
      state = CASE WHEN o.state = 'sent' OR (o.state = 'failed' AND o.reason = 'erased' AND p_state <> 'sent') THEN o.state ELSE p_state END,
      due_at = coalesce(p_due, o.due_at),
      message_id = CASE WHEN o.state = 'failed' AND o.reason = 'erased' THEN o.message_id ELSE coalesce(o.message_id, p_message_id) END,
      message_key = CASE WHEN o.state = 'failed' AND o.reason = 'erased' THEN o.message_key
        ELSE ventanilla.key_1(coalesce(o.message_id, p_message_id)) END,
      reason = CASE WHEN o.state = 'sent' OR (o.state = 'failed' AND o.reason = 'erased' AND p_state <> 'sent') THEN o.reason ELSE p_reason END,
      done = greatest(o.done, coalesce(p_done, 0)),
      leased_until = NULL, settled_at = p_at
    WHERE o.id = p_id RETURNING '{}' INTO answer;
  COMMIT;
END $$;
