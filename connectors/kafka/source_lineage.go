package kafka

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/offsets"
)

// lineage tells the logs apart that a topic's name has had: one that is deleted and made again begins at offset 0, and what sinks know of
// the one before says nothing about it. Each later one has a higher Epoch, which is the one of Order. It is remembered with every
// position: in the metadata of the group's offsets, which the brokers forget with the topic, in a sink that keeps offsets, and beside
// the connector's offsets: {"freshet":"topic","kafka_topic":…} → {"kafka_topic_epoch":1,"kafka_topic_id":…}.
type lineage struct {
	Epoch uint32 `json:"kafka_topic_epoch,omitempty"` // from 1; 0: not known
	ID    string `json:"kafka_topic_id,omitempty"`    // of the topic; "": the brokers have no ids
}

// position is a stored position: {"kafka_offset":5,"kafka_topic_epoch":1,"kafka_topic_id":"…"}. One that somebody else has set has
// the offset alone.
type position struct {
	Offset *int64 `json:"kafka_offset"`
	lineage
}

func parsePosition(o offsets.Offset) (next int64, of lineage, err error) {
	var v position
	if err := json.Unmarshal([]byte(o), &v); err != nil || v.Offset == nil || *v.Offset < 0 {
		return 0, lineage{}, fmt.Errorf("read position %s: it is not {\"kafka_offset\":number}", o)
	}
	return *v.Offset, v.lineage, nil
}

// parseLineage reads what text wrote; of other texts nothing is known.
func parseLineage(text string) (h lineage) {
	if json.Unmarshal([]byte(text), &h) != nil {
		return lineage{}
	}
	return h
}

func (h lineage) text() string {
	out, _ := json.Marshal(h) // a number and a text
	return string(out)
}

// offset is the position behind record next-1 of the partition.
func (p *share) offset(next int64) offsets.Offset {
	return offsets.Offset(`{"kafka_offset":` + strconv.FormatInt(next, 10) + "," + p.text[1:])
}

// order is the place of a record in its partition; Order.Minor has too few bits for an offset.
func (h lineage) order(offset int64) connectors.Order {
	return connectors.Order{Epoch: h.Epoch, Major: uint64(offset), Minor: 1}
}

// has tells whether a position may be one in this log.
func (h lineage) has(of lineage) bool { return of.ID == "" || h.ID == "" || of.ID == h.ID }

// follow makes h at least as late as what is remembered.
func (h *lineage) follow(of lineage) {
	switch {
	case of.Epoch == 0:
	case h.has(of):
		h.Epoch = max(h.Epoch, of.Epoch)
	default:
		h.Epoch = max(h.Epoch, of.Epoch+1)
	}
}

// stateOf is the partition under which the lineage of a topic is remembered.
func stateOf(topic string) (offsets.Partition, error) {
	text, err := json.Marshal(map[string]string{"freshet": "topic", "kafka_topic": topic})
	if err != nil {
		return "", fmt.Errorf("name the state of topic %s: %w", topic, err)
	}
	return offsets.Canonical(text)
}

// beginning is where a partition is read on.
type beginning struct {
	next   int64 // -1: where auto.offset.reset says
	of     lineage
	moved  bool // it is not what the group has
	behind bool // its log is shorter
}

// place finds where the partitions of a generation are read on: where a sink that keeps offsets is, which takes them over, else at the
// group's offsets. A position in a log that is gone is none. What is new of the histories is stored before anything is read.
func (g group) place(ctx context.Context, m *member, list []offsets.Partition) (map[offsets.Partition]beginning, error) {
	committed, err := g.client.GroupOffsets(ctx, g.group)
	if err != nil {
		return nil, err
	}
	kept, err := g.session.Offsets(ctx, list...)
	if err != nil {
		return nil, fmt.Errorf("read positions: %w", err)
	}
	now := map[string]*lineage{}
	for _, p := range list {
		topic := m.shares[p].at.Topic
		now[topic] = &lineage{Epoch: 1, ID: g.ids[topic]}
	}
	for at, o := range committed {
		if h := now[at.Topic]; h != nil {
			h.follow(parseLineage(o.Metadata))
		}
	}
	out := map[offsets.Partition]beginning{}
	for _, p := range list {
		at := beginning{next: -1}
		if o, ok := committed[m.shares[p].at]; ok {
			at = beginning{next: o.Next, of: parseLineage(o.Metadata)}
		}
		out[p] = at
	}
	for _, e := range kept {
		if m.shares[e.Partition] == nil {
			continue
		}
		next, of, err := parsePosition(e.Offset)
		if err != nil {
			return nil, connectors.AsPermanent(err)
		}
		now[m.shares[e.Partition].at.Topic].follow(of)
		out[e.Partition] = beginning{next: next, of: of, moved: true}
	}
	if err := g.remember(ctx, now, func() error { return g.compare(ctx, m, now, out) }); err != nil {
		return nil, err
	}
	for p, share := range m.shares {
		share.log = *now[share.at.Topic]
		share.text = share.log.text()
		if !share.log.has(out[p].of) || out[p].behind {
			g.log.Warn("a topic was deleted and made again, or has lost records; it is read anew as auto.offset.reset says",
				"topic", share.at.Topic, "partition", share.at.Partition, "offset", out[p].next, "id", share.log.ID, "epoch", share.log.Epoch)
			out[p] = beginning{next: -1, moved: true}
		}
	}
	return out, nil
}

// compare finds positions beyond the end of their log: the records before are not those that were read, whatever its id.
func (g group) compare(ctx context.Context, m *member, now map[string]*lineage, at map[offsets.Partition]beginning) error {
	if !g.config.Sarama().Consumer.Group.ResetInvalidOffsets {
		return nil // it is an error
	}
	shorter := map[string]bool{}
	for p, s := range at {
		share := m.shares[p]
		if s.next <= 0 || !now[share.at.Topic].has(s.of) {
			continue
		}
		_, end, err := g.client.Bounds(ctx, share.at.Topic, share.at.Partition)
		if err != nil {
			return err
		}
		if s.next > end {
			s.behind, shorter[share.at.Topic] = true, true
			at[p] = s
		}
	}
	for topic := range shorter {
		now[topic].Epoch++
	}
	return nil
}

// remember brings the histories and what is stored of them together; change is called in between.
func (g group) remember(ctx context.Context, now map[string]*lineage, change func() error) error {
	topics := slices.Sorted(maps.Keys(now))
	names := make([]offsets.Partition, len(topics))
	for i, topic := range topics {
		var err error
		if names[i], err = stateOf(topic); err != nil {
			return connectors.AsPermanent(err)
		}
	}
	stored, err := g.session.State(ctx, names...)
	if err != nil {
		return fmt.Errorf("read the histories of topics: %w", err)
	}
	before := map[offsets.Partition]offsets.Offset{}
	for _, e := range stored {
		before[e.Partition] = e.Offset
	}
	for i, topic := range topics {
		now[topic].follow(parseLineage(string(before[names[i]])))
	}
	if err := change(); err != nil {
		return err
	}
	var fresh []offsets.Entry
	for i, topic := range topics {
		if text := offsets.Offset(now[topic].text()); text != before[names[i]] {
			fresh = append(fresh, offsets.Entry{Partition: names[i], Offset: text})
		}
	}
	if len(fresh) == 0 {
		return nil
	}
	if err := g.session.Remember(ctx, fresh...); err != nil {
		return fmt.Errorf("store the histories of topics: %w", err)
	}
	return nil
}
