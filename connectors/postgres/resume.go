package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pglogrepl"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// startWithoutOffset streams from the slot as it is, or from a new one.
func (t *source) startWithoutOffset(ctx context.Context) error {
	slot, err := readSlot(ctx, t.meta, t.cfg.slot)
	if err != nil {
		return err
	}
	if slot == nil {
		pc, err := t.connectReplication(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = pc.Close(ctx) }()
		created, err := t.createSlot(ctx, pc, t.cfg.slot, false, false)
		if err != nil {
			return err
		}
		slot = &slotInfo{plugin: outputPlugin, kind: "logical", database: t.cfg.database, confirmed: created.consistent}
	}
	if problem := slot.usable(t.cfg.slot, t.cfg.database); problem != "" {
		return connectors.AsPermanent(errors.New(problem))
	}
	if why := slot.lost(); why != "" {
		return t.lostSlot(why)
	}
	t.beginStream(position{lsn: slot.confirmed}, resume{})
	return nil
}

// startFrom streams from a stored offset.
func (t *source) startFrom(ctx context.Context, p position, id identity) error {
	if id.System != "" {
		if problem, err := t.otherServer(ctx, p, id); err != nil || problem != "" {
			if err != nil {
				return err
			}
			return t.problem(problem)
		}
	}
	slot, err := readSlot(ctx, t.meta, t.cfg.slot)
	if err != nil {
		return err
	}
	if slot == nil {
		return t.problem(fmt.Sprintf("replication slot %s does not exist, but the connector has an offset (%s): the changes since then are gone from the server's log. "+
			"Take a new snapshot (snapshot.mode=when_needed, or reset the connector's offsets)", t.cfg.slot, pglogrepl.LSN(p.lsn)))
	}
	if problem := slot.usable(t.cfg.slot, t.cfg.database); problem != "" {
		return connectors.AsPermanent(errors.New(problem))
	}
	if why := slot.lost(); why != "" {
		return t.problem(lostText(t.cfg.slot, why))
	}
	r := p.resumeAt(id.own)
	if slot.confirmed > p.confirmable() {
		if err := t.slotAhead(&p, &r, id, slot.confirmed); err != nil || t.snapshot != nil {
			return err
		}
	}
	if t.cfg.mismatch == "trust_slot" && slot.confirmed < p.confirmable() {
		t.log.Warn("the slot is behind the stored offset: its changes are delivered again", "slot", t.cfg.slot, "confirmed", pglogrepl.LSN(slot.confirmed).String(), "offset", pglogrepl.LSN(p.confirmable()).String())
		p, r = position{lsn: slot.confirmed, txID: p.txID, micros: p.micros}, resume{}
	}
	t.beginStream(p, r)
	t.confirm(p.confirmable()) // it is durable: it was stored
	return nil
}

// slotAhead decides what to do when the server has forgotten changes behind the stored offset (offset.mismatch.strategy).
func (t *source) slotAhead(p *position, r *resume, id identity, confirmed uint64) error {
	reached := p.confirmable() // the furthest this connector let the server forget
	if last, err := parsePosition(offsets.Offset(id.Offset)); id.Offset != "" && err == nil {
		reached = max(reached, last.confirmable())
	}
	gap := fmt.Sprintf("changes between %s (the stored offset) and %s (confirmed by replication slot %s) are no longer in the server's log",
		pglogrepl.LSN(p.confirmable()), pglogrepl.LSN(confirmed), t.cfg.slot)
	strategy := t.cfg.mismatch
	if strategy == "trust_slot" || strategy == "trust_greater_lsn" {
		t.log.Warn(gap+"; going on from the slot, as offset.mismatch.strategy says", "strategy", strategy)
		return nil
	}
	_, direct := t.cfg.raw["sinks"]
	recreated := id.own && confirmed > reached
	if strategy == "trust_offset" || direct || recreated {
		if recreated {
			gap += ": somebody else created the slot anew or moved it"
		}
		return t.problem(gap + ". Take a new snapshot (snapshot.mode=when_needed, or reset the connector's offsets), or accept the gap with offset.mismatch.strategy=trust_slot")
	}
	t.log.Warn(gap + "; going on from the slot (offset.mismatch.strategy=no_validation)")
	return nil
}

// problem is a reason not to go on from the stored offset (I8): a new snapshot with snapshot.mode=when_needed, an error otherwise.
func (t *source) problem(text string) error {
	if t.cfg.snapshot.mode != "when_needed" {
		return connectors.AsPermanent(errors.New(text))
	}
	t.log.Warn("taking a new snapshot (snapshot.mode=when_needed): " + text)
	t.snapshot = newSnapshot(t, true)
	return nil
}

func (t *source) lostSlot(why string) error {
	return connectors.AsPermanent(errors.New(lostText(t.cfg.slot, why)))
}

func lostText(slot, why string) string {
	return fmt.Sprintf("replication slot %s was invalidated by the server (%s): the log it needs is gone. "+
		"Drop the slot and take a new snapshot (snapshot.mode=when_needed does both); see max_slot_wal_keep_size", slot, why)
}

func (t *source) otherServer(ctx context.Context, p position, id identity) (string, error) {
	pc, err := t.connectReplication(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = pc.Close(ctx) }()
	s, err := identify(ctx, pc)
	if err != nil {
		return "", err
	}
	return s.continues(id, p.lsn), nil
}
