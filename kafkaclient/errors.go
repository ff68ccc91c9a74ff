package kafkaclient

import (
	"errors"
	"fmt"

	"github.com/IBM/sarama"
)

// ErrFenced: another producer took over the transactional id. Whoever sees it writes nothing more (I6).
var ErrFenced = errors.New("fenced: another producer has taken over this transactional id")

// ErrUnknownOutcome: whether the transaction was committed is not known. Whoever initialises the id again reads the offset
// record back and decides by it.
var ErrUnknownOutcome = errors.New("the outcome of the transaction is not known")

// ErrTransactionAborted: the transaction cannot be committed any more (it was open longer than transaction.timeout.ms, a broker
// lost what it knew of it). Nobody else owns the id; the producer sends the same records again, and gives up only after many
// attempts in a row.
var ErrTransactionAborted = errors.New("the transaction was aborted")

// ErrCoordinatorBusy: the coordinator has not ended the transaction before this one for as long as transaction.timeout.ms.
var ErrCoordinatorBusy = errors.New("the coordinator is still ending the transaction before this one: one of its partitions has no " +
	"leader, or a broker does not answer; bring the partitions of the topics online, and look for hanging transactions with kafka-transactions.sh")

// ErrDeliveryTimeout: delivery.timeout.ms is over before the record was acknowledged.
var ErrDeliveryTimeout = errors.New("delivery.timeout.ms is over")

// ErrClosed is returned after Close.
var ErrClosed = errors.New("the Kafka producer is closed")

// ErrTopicMissing: the topic does not exist.
var ErrTopicMissing = errors.New("topic does not exist")

// ErrLogin: the broker refused the user name, the password or the mechanism.
var ErrLogin = errors.New("the login was refused")

// ErrUnfit: a topic is not made for what it is to be used for.
var ErrUnfit = errors.New("the topic cannot be used")

// Permanent reports whether trying again cannot mend err: a refused record, login or right, or a request that the cluster
// finds wrong. ErrFenced is not among them: it has its own meaning.
func Permanent(err error) bool {
	for _, passing := range []error{ErrFenced, ErrUnknownOutcome, ErrTransactionAborted, ErrCoordinatorBusy, ErrDeliveryTimeout, ErrTopicMissing} {
		if errors.Is(err, passing) {
			return false
		}
	}
	var k sarama.KError
	var refused *RecordError
	return errors.Is(err, ErrLogin) || errors.Is(err, ErrUnfit) || errors.As(err, &refused) || errors.As(err, &k) && k != sarama.ErrUnknown && !retriable(k)
}

// RecordError is a permanent refusal of a record or a batch of one partition.
type RecordError struct {
	Topic     string
	Partition int32 // -1: not chosen yet
	Bytes     int   // of the record, or of the batch when Records > 1
	Records   int
	Err       error
}

func (e *RecordError) Error() string {
	what := "record"
	if e.Records > 1 {
		what = fmt.Sprintf("batch of %d records", e.Records)
	}
	return fmt.Sprintf("write %s of %d bytes to topic %s partition %d: %v", what, e.Bytes, e.Topic, e.Partition, e.Err)
}

func (e *RecordError) Unwrap() error { return e.Err }

// Broker error codes that sarama has no name or no text for (protocol page "Error Codes").
const (
	errTransactionalIDNotFound sarama.KError = 105
	errTransactionAbortable    sarama.KError = 120
	errUnknownTopicID          sarama.KError = 100
	errInconsistentTopicID     sarama.KError = 103
)

// retriable reports broker errors that pass by themselves (Java: RetriableException).
func retriable(err error) bool {
	var k sarama.KError
	if !errors.As(err, &k) {
		return !errors.As(err, new(sarama.PacketEncodingError))
	}
	switch k {
	case sarama.ErrInvalidMessage, sarama.ErrUnknownTopicOrPartition, sarama.ErrLeaderNotAvailable, sarama.ErrNotLeaderForPartition,
		sarama.ErrRequestTimedOut, sarama.ErrBrokerNotAvailable, sarama.ErrReplicaNotAvailable, sarama.ErrNetworkException,
		sarama.ErrOffsetsLoadInProgress, sarama.ErrConsumerCoordinatorNotAvailable, sarama.ErrNotCoordinatorForConsumer,
		sarama.ErrNotEnoughReplicas, sarama.ErrNotEnoughReplicasAfterAppend, sarama.ErrConcurrentTransactions,
		sarama.ErrKafkaStorageError, sarama.ErrFencedLeaderEpoch, sarama.ErrUnknownLeaderEpoch, sarama.ErrNotController,
		sarama.ErrThrottlingQuotaExceeded, sarama.ErrOffsetNotAvailable, sarama.ErrListenerNotFound:
		return true
	}
	return false
}

// fencing reports the answers with which a broker refuses a producer of an older epoch.
func fencing(k sarama.KError) bool {
	switch k {
	case sarama.ErrProducerFenced, sarama.ErrInvalidProducerEpoch, sarama.ErrTransactionCoordinatorFenced,
		errTransactionalIDNotFound, sarama.ErrInvalidProducerIDMapping:
		return true
	}
	return false
}

// explain adds what to do to a broker's answer.
func explain(err error) error {
	var k sarama.KError
	if !errors.As(err, &k) {
		return err
	}
	hint := ""
	switch k {
	case sarama.ErrTopicAuthorizationFailed:
		hint = "grant this user WRITE and DESCRIBE on the topic (CREATE to create it)"
	case sarama.ErrClusterAuthorizationFailed:
		hint = "grant this user IDEMPOTENT_WRITE on the cluster (CREATE to create topics)"
	case sarama.ErrTransactionalIDAuthorizationFailed:
		hint = "grant this user WRITE and DESCRIBE on the transactional id"
	case sarama.ErrSASLAuthenticationFailed:
		hint = "check the user name and password in sasl.jaas.config"
	case sarama.ErrMessageSizeTooLarge, sarama.ErrMessageSetSizeTooLarge:
		hint = "raise max.message.bytes of the topic (and max.request.size here)"
	case sarama.ErrInvalidRecord:
		hint = "the topic's rules refuse it: with cleanup.policy=compact a record needs a key; message.timestamp.* and the broker's log say more"
	case sarama.ErrInvalidTopic:
		hint = "topic names may have letters, digits, '.', '_' and '-', and at most 249 characters"
	case sarama.ErrInvalidReplicationFactor:
		hint = "the replication factor is larger than the number of brokers"
	case sarama.ErrInvalidTransactionTimeout:
		hint = "transaction.timeout.ms is larger than the broker's transaction.max.timeout.ms"
	case sarama.ErrNotEnoughReplicas, sarama.ErrNotEnoughReplicasAfterAppend:
		hint = "fewer replicas are in sync than min.insync.replicas asks for"
	case sarama.ErrProducerFenced:
		return fmt.Errorf("kafka server: the producer was fenced by a newer one with the same transactional id: %w", err)
	case errTransactionalIDNotFound:
		return fmt.Errorf("kafka server: the transactional id is not known to the coordinator any more: %w", err)
	}
	if hint == "" {
		return err
	}
	return fmt.Errorf("%w (%s)", err, hint)
}
