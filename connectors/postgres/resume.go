package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pglogrepl"
	"github.com/jackc/pgx/v5"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// startWithoutOffset streams from the slot as it is, or from a new one.
func (t *source) startWithoutOffset(ctx context.Context) error {
	slot, err := t.readSlot(ctx)
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
	t.beginStream(position{lsn: slot.confirmed}, resume{}, server{}, identity{})
	return nil
}

// startFrom streams from p, which was reached on the server that id names.
func (t *source) startFrom(ctx context.Context, p position, id identity) error {
	at, err := t.compare(ctx, p, id)
	if err != nil || t.snapshot != nil {
		return err
	}
	t.beginStream(at.p, at.r, at.found, at.id)
	confirmed := at.slot.confirmed
	if id.own || !strings.Contains(t.cfg.raw["sinks"], ",") { // stored; one of several sinks may be away, and have less (I7)
		confirmed = max(confirmed, at.p.confirmable())
	}
	t.confirm(confirmed)
	return nil
}

// comparison is where a stream can go on, and what the server has there.
type comparison struct {
	p     position
	r     resume
	id    identity
	found server
	slot  *slotInfo
}

// compare looks whether the server and the slot are those by which p was reached, and hold every change behind it. When they do not,
// it decides where to go on, or finds a problem.
func (t *source) compare(ctx context.Context, p position, id identity) (comparison, error) {
	found, err := t.identify(ctx)
	if err != nil {
		return comparison{}, err
	}
	if why := found.foreign(id); why != "" {
		return comparison{}, t.problem(why)
	}
	ahead := found.ahead(t.session.Reached(t.partition), p, id)
	if ahead.foreign != "" {
		return comparison{}, t.problem(ahead.foreign)
	}
	r := p.resumeAt(id.own)
	cut := found.left(id.Timeline)
	if !id.own { // the position is that of one of the sinks, on its timeline
		cut = min(cut, ahead.cut)
	}
	moves := p.reached(id) > cut
	if moves || ahead.sinks != nil {
		if err := t.moved(&found, p, id, cut, &ahead); err != nil || t.snapshot != nil {
			return comparison{}, err
		}
	}
	if moves {
		t.leave(p)
		p, r = p.movedTo(min(cut, p.confirmable())), resume{} // a transaction of the other timeline may have had the same number
		id.Offset, id.Commit = string(p.offset(nil)), min(id.Commit, cut-1)
	}
	slot, err := t.formerSlot(ctx)
	if err != nil {
		return comparison{}, err
	}
	if slot == nil {
		return comparison{}, t.problem(fmt.Sprintf("replication slot %s does not exist, but the connector has an offset (%s): the changes since then are gone from the server's log. "+
			"Take a new snapshot (start once with snapshot.mode=when_needed)", t.cfg.slot, pglogrepl.LSN(p.lsn)))
	}
	if problem := slot.usable(t.cfg.slot, t.cfg.database); problem != "" {
		return comparison{}, connectors.AsPermanent(errors.New(problem))
	}
	if why := slot.lost(); why != "" {
		return comparison{}, t.problem(lostText(t.cfg.slot, why))
	}
	t.keepOverPromotion(ctx, slot)
	trusted, rewound := t.cfg.mismatch == "trust_slot", t.rewound
	t.rewound = false
	reached := max(p.reached(id), ahead.end)
	behind, err := t.behind(ctx, &found, reached)
	switch {
	case err != nil:
		return comparison{}, err
	case behind && !trusted:
		return comparison{}, t.problem(t.beyondLog(&found, reached))
	case rewound && !trusted:
		return comparison{}, t.problem(fmt.Sprintf("the last commit that was delivered, at %s, is not in the server's log, which has others there: the server was restored from an earlier state; "+
			"%s; or go on from the slot (%s) with offset.mismatch.strategy=trust_slot", pglogrepl.LSN(p.delivered(id)), resync, pglogrepl.LSN(slot.confirmed)))
	case slot.confirmed > p.confirmable():
		if err := t.slotAhead(p, id, slot.confirmed); err != nil || t.snapshot != nil {
			return comparison{}, err
		}
	}
	if trusted && (behind || rewound || slot.confirmed < p.confirmable()) {
		t.log.Warn("the slot is behind the stored offset: its changes are delivered again", "slot", t.cfg.slot, "confirmed", pglogrepl.LSN(slot.confirmed).String(), "offset", pglogrepl.LSN(p.confirmable()).String())
		t.leave(p)
		p, r = position{lsn: slot.confirmed, txID: p.txID, micros: p.micros}, resume{}
		id.Commit = min(id.Commit, max(slot.confirmed, 1)-1)
		if behind || rewound {
			from := found.end
			if rewound {
				from = slot.confirmed
			}
			t.watch.lose(from, reached, "the targets have commits that the server has lost")
			t.session.Anew(t.partition)
		}
	}
	return comparison{p, r, id, found, slot}, nil
}

// moved decides whether to go on from the point at which the server's history left that of the position p, or of sinks that
// are ahead. Without commits behind it, when only the position of an idle stream lies there, nothing is to decide.
func (t *source) moved(found *server, p position, id identity, cut uint64, ahead *lead) error {
	switch last := p.delivered(id); {
	case ahead.sinks != nil:
		return t.promoted(found, ahead.timeline, ahead.cut, ahead.last, ahead.String())
	case last < cut:
		t.log.Info("the server was promoted: going on from where it left the former timeline", "timeline", found.timeline, "former", id.Timeline, "from", pglogrepl.LSN(cut).String())
		return nil
	default:
		return t.promoted(found, id.Timeline, cut, last, fmt.Sprintf("the targets have commits up to %s (%d bytes further)", pglogrepl.LSN(last), last-cut))
	}
}

// promoted decides whether to go on although commits behind the point cut, at which the server left a timeline, were delivered. The
// server does not have them; it has others there, which must not be taken for delivered. last is where the
// last of them lies, who tells the targets that have them.
func (t *source) promoted(found *server, timeline uint32, cut, last uint64, who string) error {
	text := fmt.Sprintf("the server was promoted without the last commits that were delivered: it left timeline %d at %s, but %s", timeline, pglogrepl.LSN(cut), who)
	_, direct := t.cfg.raw["sinks"]
	trusting := t.cfg.mismatch == "trust_slot" || t.cfg.mismatch == "trust_greater_lsn"
	if t.cfg.mismatch == "trust_offset" || direct && !trusting {
		return t.problem(fmt.Sprintf("%s, which the server does not have; %s; or keep what the targets have and go on with the server's commits since %s by offset.mismatch.strategy=trust_greater_lsn",
			text, resync, pglogrepl.LSN(cut)))
	}
	t.log.Warn(text+"; these stay in the targets, and the server's own commits since then follow (offset.mismatch.strategy="+t.cfg.mismatch+")",
		"timeline", found.timeline, "from", pglogrepl.LSN(cut).String())
	t.watch.lose(cut, last, fmt.Sprintf("the targets have commits of timeline %d that the promoted server does not have", timeline))
	return nil
}

// leave marks p as a position that the server must not be told when it becomes durable: it lies on another timeline, and so
// behind commits that were not delivered (I7).
func (t *source) leave(p position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left, t.confirmed = p.text(), 0
}

// behind tells that the server's log ends below lsn. That of a standby does not: the rest is on the way.
func (t *source) behind(ctx context.Context, found *server, lsn uint64) (bool, error) {
	if lsn <= found.end {
		return false, nil
	}
	standby, err := t.standby(ctx)
	return !standby && err == nil, err
}

// beyondLog tells why a position that the server's log has not reached is no place to go on: the new commits below it would
// never be delivered. The history does not show it when the server lost its end by a restored disk, or when the position's timeline
// is not known.
func (t *source) beyondLog(found *server, reached uint64) string {
	return fmt.Sprintf("what was delivered reaches to %s, %d bytes beyond the end %s of the server's log: the server has lost its last commits, or is another one; "+
		"%s; or go on from the slot with offset.mismatch.strategy=trust_slot", pglogrepl.LSN(reached), reached-found.end, pglogrepl.LSN(found.end), resync)
}

// keepOverPromotion is slot.failover for a slot that was made without it.
func (t *source) keepOverPromotion(ctx context.Context, slot *slotInfo) {
	if !t.cfg.slotFailover || slot.failover || t.version < 170000 {
		return
	}
	pc, err := t.connectReplication(ctx)
	if err == nil {
		defer func() { _ = pc.Close(ctx) }()
		err = pc.Exec(ctx, "ALTER_REPLICATION_SLOT "+pgx.Identifier{t.cfg.slot}.Sanitize()+" (FAILOVER true)").Close()
	}
	if err != nil { // the slot works without
		t.log.Warn("slot.failover=true, but the replication slot is not synchronised to standbys, and cannot be altered now", "slot", t.cfg.slot, "error", err)
		return
	}
	t.log.Info("made the replication slot a failover slot", "slot", t.cfg.slot)
}

// slotAhead decides what to do when the server has forgotten changes behind the stored offset (offset.mismatch.strategy).
func (t *source) slotAhead(p position, id identity, confirmed uint64) error {
	reached := p.confirmable() // the furthest this connector let the server forget
	if last, err := parsePosition(offsets.Offset(id.Offset)); id.Offset != "" && err == nil {
		reached = max(reached, last.confirmable())
	}
	gap := fmt.Sprintf("changes between %s (the stored offset) and %s (confirmed by replication slot %s) are no longer in the server's log",
		pglogrepl.LSN(p.confirmable()), pglogrepl.LSN(confirmed), t.cfg.slot)
	strategy := t.cfg.mismatch
	if strategy == "trust_slot" || strategy == "trust_greater_lsn" {
		t.log.Warn(gap+"; going on from the slot, as offset.mismatch.strategy says", "strategy", strategy)
		t.watch.lose(p.confirmable(), confirmed, passedOver)
		return nil
	}
	_, direct := t.cfg.raw["sinks"]
	recreated := id.own && confirmed > reached
	if strategy == "trust_offset" || direct || recreated {
		if recreated {
			gap += ": somebody else created the slot anew or moved it"
		}
		return t.problem(gap + ". Take a new snapshot (start once with snapshot.mode=when_needed), or accept the gap with offset.mismatch.strategy=trust_slot")
	}
	t.log.Warn(gap + "; going on from the slot (offset.mismatch.strategy=no_validation)")
	t.watch.lose(p.confirmable(), confirmed, passedOver)
	return nil
}

const passedOver = "changes that are no longer in the server's log were not delivered"

// problem is a reason not to go on from the stored offset (I8): a new snapshot with snapshot.mode=when_needed, an error otherwise.
func (t *source) problem(text string) error {
	if t.cfg.snapshot.mode != "when_needed" {
		return connectors.AsPermanent(errors.New(text))
	}
	t.log.Warn("taking a new snapshot (snapshot.mode=when_needed): " + text)
	t.session.Anew(t.partition)
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

// identify asks the server who it is.
func (t *source) identify(ctx context.Context) (server, error) {
	pc, err := t.connectReplication(ctx)
	if err != nil {
		return server{}, err
	}
	defer func() { _ = pc.Close(ctx) }()
	return identify(ctx, pc)
}

// readSlot reads the connector's slot, nil for none. One that a standby keeps for its promotion cannot be used before it: an error that
// passes with it.
func (t *source) readSlot(ctx context.Context) (*slotInfo, error) {
	slot, err := readSlot(ctx, t.meta, t.cfg.slot)
	if err == nil && slot != nil && slot.awaiting {
		return nil, t.awaiting("cannot be read")
	}
	return slot, err
}

// formerSlot is readSlot for the slot of a stored offset: a standby that does not have it may be promoted, and is no reason to give up.
func (t *source) formerSlot(ctx context.Context) (*slotInfo, error) {
	slot, err := t.readSlot(ctx)
	if slot != nil || err != nil {
		return slot, err
	}
	standby, err := t.standby(ctx)
	if standby {
		err = t.awaiting("does not exist")
	}
	return nil, err
}

func (t *source) awaiting(what string) error {
	return fmt.Errorf("the server is a standby, where replication slot %s %s: waiting for its promotion; if there will be none, let database.hostname lead to the primary, or to the server that has the slot", t.cfg.slot, what)
}

func (t *source) standby(ctx context.Context) (standby bool, err error) {
	if err := t.catalog.row(ctx, "SELECT pg_is_in_recovery()", nil, &standby); err != nil {
		return false, fmt.Errorf("read pg_is_in_recovery: %w", err)
	}
	return standby, nil
}
