package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/freshet-io/freshet/connectors"
	"github.com/freshet-io/freshet/kafkaclient"
	"github.com/freshet-io/freshet/offsets"
)

// share is one partition that is assigned to a member.
type share struct {
	of        *member
	at        kafkaclient.TopicPartition
	partition offsets.Partition
	log       lineage
	text      string       // of it
	next      atomic.Int64 // committed: where the partition is read on; below 0: nothing is

	// Of the lane that reads the partition; Poll's from ready to resume.
	records *kafkaclient.Fetched
	batch   *connectors.Builder // to be filled from records
	taken   bool                // nothing is left of records
	resume  chan struct{}
}

// reader reads what a member got.
func (g group) reader(m *member, list []offsets.Partition, starts map[offsets.Partition]beginning) *kafkaclient.Reader {
	shares, parts := make([]*share, len(list)), make([]kafkaclient.ReadPart, len(list))
	for i, name := range list {
		p, at := m.shares[name], starts[name]
		p.next.Store(at.next)
		if at.next < 0 && !g.config.Sarama().Consumer.Group.ResetInvalidOffsets {
			g.fail(connectors.AsPermanent(fmt.Errorf("read topic %s, partition %d: consumer group %s has no committed offset there, and auto.offset.reset is none", p.at.Topic, p.at.Partition, g.group)))
		}
		shares[i] = p
		parts[i] = kafkaclient.ReadPart{TopicPartition: p.at, ID: kafkaclient.TopicID(p.log.ID), Next: at.next}
	}
	return g.client.NewReader(g.config, parts, kafkaclient.Receiver{
		Take: func(ctx context.Context, i, n int, read func() (*kafkaclient.Fetched, error)) error {
			return g.take(ctx, shares[i], n, read)
		},
		Changed: func(i int, err error) { g.changed(shares[i], err) },
	}, g.log)
}

// take makes room for n bytes of a partition, reads them, and hands the partition to Poll until nothing is left of them. What waits for
// Poll has the room of its batch already: Poll waits for none, so that the lanes cannot keep it all from each other.
func (g group) take(ctx context.Context, p *share, n int, read func() (*kafkaclient.Fetched, error)) error {
	for first := true; ; first = false {
		w, err := g.session.NewBatch(ctx, p.partition)
		if err != nil {
			if ctx.Err() == nil {
				g.source.fail(err)
			}
			return err
		}
		if first {
			w.Weigh(n)
			w.Charge()
			if p.records, err = read(); err != nil {
				w.Abandon()
				return err
			}
			w.Weigh(-n)
		}
		p.batch = w
		select {
		case g.ready <- p:
		case <-ctx.Done():
			w.Abandon()
			return ctx.Err()
		}
		select {
		case <-p.resume:
		case <-ctx.Done():
			return ctx.Err()
		}
		if p.taken {
			return nil
		}
	}
}

// changed decides what becomes of a partition that cannot be read on. The reader tries it again meanwhile.
func (g group) changed(p *share, err error) {
	reset := g.config.Sarama().Consumer.Group.ResetInvalidOffsets
	switch {
	case errors.Is(err, kafkaclient.ErrFormat):
		g.fail(connectors.AsPermanent(fmt.Errorf("read topic %s, partition %d: %w", p.at.Topic, p.at.Partition, err)))
	case errors.Is(err, kafkaclient.ErrOutOfRange) && !reset:
		g.fail(connectors.AsPermanent(fmt.Errorf("read topic %s, partition %d: consumer group %s has an offset that the log does not have (any more), and auto.offset.reset is none; "+
			"stop the connector and alter its offsets, or set consumer.override.auto.offset.reset", p.at.Topic, p.at.Partition, g.group)))
	case errors.Is(err, kafkaclient.ErrOutOfRange): // it is another log, or one that has lost records
		g.again()
	default:
		select {
		case g.look <- struct{}{}:
		default: // it will look
		}
	}
}
