package kafkaclient

import (
	"context"
	"fmt"

	"github.com/IBM/sarama"
)

// ClusterID asks the brokers which cluster they are; "" when they do not say.
func (s *Session) ClusterID(ctx context.Context) (string, error) {
	id := ""
	err := s.ask(ctx, func(b *sarama.Broker) error {
		answer, err := b.GetMetadata(sarama.NewMetadataRequest(sarama.V2_8_0_0, []string{}))
		if err == nil && answer.ClusterID != nil {
			id = *answer.ClusterID
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("ask for the id of the Kafka cluster: %w", explain(err))
	}
	return id, nil
}

// FenceProducers takes these transactional ids over: what their producers have open is aborted, and they write nothing more (I6).
func (s *Session) FenceProducers(ctx context.Context, cfg ProducerConfig, ids []string) error {
	for _, id := range ids {
		cfg.TransactionalID = id
		p, err := NewProducer(ctx, s, cfg, ProducerOptions{})
		if err != nil {
			return fmt.Errorf("fence producers of transactional id %s: %w", id, err)
		}
		p.Close()
	}
	return nil
}
