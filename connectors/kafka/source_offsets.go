package kafka

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/offsets"
)

// Offsets of sink connectors have the form {"kafka_topic":…,"kafka_partition":…} → {"kafka_offset":…} (KIP-875); the texts below
// are Kafka Connect's (SinkUtils, Worker).

func partitionOf(p kafkaclient.TopicPartition) (offsets.Partition, error) {
	text, err := json.Marshal(map[string]any{"kafka_topic": p.Topic, "kafka_partition": p.Partition})
	if err != nil {
		return "", fmt.Errorf("name partition %d of topic %s: %w", p.Partition, p.Topic, err)
	}
	return offsets.Canonical(text)
}

func offsetOf(next int64) offsets.Offset {
	return offsets.Offset(`{"kafka_offset":` + strconv.FormatInt(next, 10) + `}`)
}

// change is what a user wants of one partition.
type change struct {
	at     kafkaclient.TopicPartition
	offset int64
	remove bool
}

// CheckOffsets implements connectors.OffsetChecker.
func (f *Sources) CheckOffsets(_ connectors.Config, entries []offsets.Entry) error {
	_, err := parseChanges(entries)
	return err
}

func parseChanges(entries []offsets.Entry) ([]change, error) {
	var out []change
	for _, e := range entries {
		c := change{remove: e.Offset == ""}
		var err error
		if c.at, err = parsePartition(e.Partition); err != nil {
			return nil, err
		}
		if !c.remove {
			if c.offset, err = parseChanged(e.Offset); err != nil {
				return nil, err
			}
		}
		out = append(out, c)
	}
	return out, nil
}

func parsePartition(p offsets.Partition) (at kafkaclient.TopicPartition, err error) {
	if p == "" {
		return at, connectors.AsRequest(errors.New("The partition for a sink connector offset cannot be null or missing")) //nolint:staticcheck // the reference's text
	}
	members := parseMembers(string(p))
	topic, one := members["kafka_topic"]
	number, two := members["kafka_partition"]
	if !one || !two {
		return at, connectors.AsRequest(errors.New("The partition for a sink connector offset must contain the keys 'kafka_topic' and 'kafka_partition'")) //nolint:staticcheck // the reference's text
	}
	if topic == nil {
		return at, connectors.AsRequest(errors.New("Kafka topic names must be valid strings and may not be null")) //nolint:staticcheck // the reference's text
	}
	if number == nil {
		return at, connectors.AsRequest(errors.New("Kafka partitions must be valid numbers and may not be null")) //nolint:staticcheck // the reference's text
	}
	n, err := strconv.ParseInt(fmt.Sprint(number), 10, 32)
	if err != nil {
		return at, connectors.AsRequest(fmt.Errorf("Failed to parse the following Kafka partition value in the provided offsets: '%v'. Partition values for sink connectors need to be integers.", number)) //nolint:staticcheck // the reference's text
	}
	return kafkaclient.TopicPartition{Topic: fmt.Sprint(topic), Partition: int32(n)}, nil
}

func parseChanged(o offsets.Offset) (int64, error) {
	at, there := parseMembers(string(o))["kafka_offset"]
	if !there {
		return 0, connectors.AsRequest(errors.New("The offset for a sink connector should either be null or contain the key 'kafka_offset'")) //nolint:staticcheck // the reference's text
	}
	if at == nil {
		at = "null"
	}
	n, err := strconv.ParseInt(fmt.Sprint(at), 10, 64)
	if err != nil {
		return 0, connectors.AsRequest(fmt.Errorf("Failed to parse the following Kafka offset value in the provided offsets: '%v'. Offset values for sink connectors need to be integers.", at)) //nolint:staticcheck // the reference's text
	}
	return n, nil
}

// parseMembers reads a flat JSON object; numbers stay texts.
func parseMembers(text string) map[string]any {
	var out map[string]any
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	_ = d.Decode(&out) // offsets are JSON objects already
	return out
}

// Offsets implements connectors.OffsetOwner.
func (f *Sources) Offsets(ctx context.Context, c connectors.Config, s connectors.Settings) ([]offsets.Entry, error) {
	client, group, err := f.admin(ctx, c, s)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	at, err := client.GroupOffsets(ctx, group)
	if err != nil {
		return nil, fmt.Errorf("read offsets of connector %s: %w", s.Connector, err)
	}
	var out []offsets.Entry
	for p, next := range at {
		name, err := partitionOf(p)
		if err != nil {
			return nil, err
		}
		out = append(out, offsets.Entry{Partition: name, Offset: offsetOf(next.Next)})
	}
	slices.SortFunc(out, func(a, b offsets.Entry) int { return strings.Compare(string(a.Partition), string(b.Partition)) })
	return out, nil
}

// SetOffsets implements connectors.OffsetOwner.
func (f *Sources) SetOffsets(ctx context.Context, c connectors.Config, s connectors.Settings, entries []offsets.Entry) ([]offsets.Entry, error) {
	changes, err := parseChanges(entries)
	if err != nil {
		return nil, err
	}
	var out []offsets.Entry
	for _, c := range changes {
		e := offsets.Entry{}
		if e.Partition, err = partitionOf(c.at); err != nil {
			return nil, err
		}
		if !c.remove {
			e.Offset = offsetOf(c.offset)
		}
		out = append(out, e)
	}
	return out, f.setOffsets(ctx, c, s, changes, entries == nil)
}

func (f *Sources) setOffsets(ctx context.Context, c connectors.Config, s connectors.Settings, changes []change, all bool) error {
	if slices.ContainsFunc(changes, func(c change) bool { return !c.remove && c.offset < 0 }) {
		return fmt.Errorf("Failed to modify offsets for sink connector %s", s.Connector) //nolint:staticcheck // the reference's text
	}
	client, group, err := f.admin(ctx, c, s)
	if err != nil {
		return err
	}
	defer client.Close()
	if all {
		return changed(emptied(ctx, client, group, func() error { return client.DeleteGroup(ctx, group) }), "reset", s)
	}
	set := map[kafkaclient.TopicPartition]kafkaclient.GroupOffset{}
	var remove []kafkaclient.TopicPartition
	for _, c := range changes {
		if c.remove {
			remove = append(remove, c.at)
		} else {
			set[c.at] = kafkaclient.GroupOffset{Next: c.offset}
		}
	}
	if len(set) > 0 {
		err := emptied(ctx, client, group, func() error { return client.CommitGroup(ctx, group, kafkaclient.NoMember(), set) })
		if err != nil {
			return changed(err, "alter", s)
		}
	}
	if len(remove) > 0 {
		return changed(emptied(ctx, client, group, func() error { return client.DeleteGroupOffsets(ctx, group, remove) }), "alter", s)
	}
	return nil
}

// emptied makes a change that members of the group keep from happening. The connector is stopped: they are what a stop has left behind,
// such as a request to join that came late, and are taken out of the group.
func emptied(ctx context.Context, client *kafkaclient.Session, group string, change func() error) error {
	err := change()
	for range 5 {
		if !errors.Is(err, kafkaclient.ErrGroupBusy) {
			break
		}
		if removed := client.RemoveStrays(ctx, group); removed != nil {
			return removed
		}
		if !pause(ctx, 100*time.Millisecond) {
			break
		}
		err = change()
	}
	return err
}

// changed gives the error of a change the reference's text; the log has the cause.
func changed(err error, what string, s connectors.Settings) error {
	if err == nil {
		return nil
	}
	logger(s).Warn("the offsets of a sink connector were not changed", "connector", s.Connector, "error", err)
	if errors.Is(err, kafkaclient.ErrGroupBusy) {
		return fmt.Errorf("Failed to %s consumer group offsets for connector %s either because its tasks haven't stopped completely yet or the connector was resumed "+ //nolint:staticcheck // the reference's text
			"before the request to %s its offsets could be successfully completed. If the connector is in a stopped state, this operation can be safely retried. "+
			"If it doesn't eventually succeed, the Connect cluster may need to be restarted to get rid of the zombie sink tasks.", what, s.Connector, what)
	}
	return fmt.Errorf("Failed to %s consumer group offsets for connector %s", what, s.Connector) //nolint:staticcheck // the reference's text
}

func (f *Sources) admin(ctx context.Context, c connectors.Config, s connectors.Settings) (*kafkaclient.Session, string, error) {
	config, err := kafkaclient.Parse(adminProperties(c, s))
	if err != nil {
		return nil, "", connectors.AsPermanent(fmt.Errorf("read Kafka client properties: %w", err))
	}
	client, err := f.Pool.Open(ctx, config)
	if err != nil {
		return nil, "", classify(err)
	}
	return client, consumerProperties(c, s)["group.id"], nil
}

func logger(s connectors.Settings) *slog.Logger {
	if s.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Logger.With("logger", "freshet.kafka")
}
