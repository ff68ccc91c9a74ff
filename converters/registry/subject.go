package registry

import (
	"fmt"
	"strings"
)

type naming uint8

const (
	byTopic naming = iota
	byRecord
	byTopicAndRecord
)

func strategyOf(class string) (naming, bool) {
	switch strings.TrimPrefix(strings.TrimSpace(class), subjects) {
	case "TopicNameStrategy", "":
		return byTopic, true
	case "RecordNameStrategy":
		return byRecord, true
	case "TopicRecordNameStrategy":
		return byTopicAndRecord, true
	}
	return 0, false
}

// subject is the name under which the schema of a topic's keys or values is registered; record is the full name of its record, ""
// when it is none.
func (n naming) subject(topic, record string, key bool) (string, error) {
	if n == byTopic {
		if key {
			return topic + "-key", nil
		}
		return topic + "-value", nil
	}
	if record == "" {
		what, option := "value", keyValSubject
		if key {
			what, option = "key", keyKeySubject
		}
		return "", fmt.Errorf("name the subject of topic %s: with this %s the %s must be a record", topic, option, what)
	}
	if n == byRecord {
		return record, nil
	}
	return topic + "-" + record, nil
}
