//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/freshet-io/freshet/kafkaclient"
)

// freshFloor is what freshness the machine can have without Freshet: the reference tool reads the load's log, and what
// the writers have committed in one go is sent to the broker in one request, as records of the size of Freshet's events.
func (b *bench) freshFloor(ctx context.Context) (*fresh, error) {
	name := b.name("floor")
	cmd, err := b.source.streamTool(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	consumer, err := b.freshTopic(ctx, name)
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	p, err := b.startFloor(ctx, name+".bench.rows")
	if err != nil {
		return nil, errors.Join(err, cmd.Process.Kill())
	}
	return &fresh{process: p.failed, pid: os.Getpid(), reader: consumer, committed: p.commit, close: func() error {
		consumer.client.Close()
		p.stop()
		killed := cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
		clean := context.WithoutCancel(ctx)
		return errors.Join(killed, b.source.release(clean, name), b.deleteTopics(clean, name))
	}}, nil
}

// floor produces from a goroutine of its own ("floor"), from startFloor to stop.
type floor struct {
	counts chan int // transactions committed
	quit   chan struct{}
	done   chan struct{}
	err    error // valid after done
}

func (b *bench) startFloor(ctx context.Context, topic string) (*floor, error) {
	config, err := kafkaclient.Parse(map[string]string{"bootstrap.servers": b.brokers})
	if err != nil {
		return nil, err
	}
	session, err := new(kafkaclient.Pool).Open(ctx, config)
	if err != nil {
		return nil, err
	}
	producer, err := kafkaclient.NewProducer(ctx, session, config.Producer, kafkaclient.ProducerOptions{})
	if err != nil {
		session.Close()
		return nil, err
	}
	f := &floor{counts: make(chan int, pacedWriters), quit: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(f.done)
		defer session.Close()
		defer producer.Close()
		f.err = f.produce(ctx, producer, topic)
	}()
	return f, nil
}

// floorEvent is about as long as Freshet's event of such a row.
var floorEvent = strings.Repeat("x", 700)

func (f *floor) produce(ctx context.Context, p *kafkaclient.Producer, name string) error {
	topic, err := p.Topic(ctx, name)
	if err != nil {
		return err
	}
	var event []byte
	key := []byte(`{"id":1000000000}`)
	for {
		select {
		case n := <-f.counts:
			now := time.Now()
			event = strconv.AppendInt(append(event[:0], `{"source":{"ts_us":`...), now.UnixMicro(), 10)
			event = append(append(append(event, `},"row":"`...), floorEvent...), `"}`...)
			record := kafkaclient.Record{Key: key, Value: event, Timestamp: now.UnixMilli()}
			for range n {
				if err := p.Append(ctx, topic, 0, &record); err != nil {
					return err
				}
			}
			p.Mark(0)
		case <-f.quit:
			return nil
		}
	}
}

// commit is told how many transactions a writer has committed.
func (f *floor) commit(_, n int) {
	select {
	case f.counts <- n:
	case <-f.done:
	}
}

func (f *floor) failed() error {
	select {
	case <-f.done:
		return errors.Join(errors.New("the producer has ended"), f.err)
	default:
		return nil
	}
}

func (f *floor) stop() {
	close(f.quit)
	<-f.done
}
