package connectors

import "regexp"

var secretName = regexp.MustCompile(`(?i)pass|secret|credentials?$|jaas|token$|api\.?key|user\.?info|\.key$|private\.?key$|certificate\.chain|truststore\.certificates`)

// SecretName tells that the value of a key is a secret by the key's name, for where its definition is not at hand: the PASSWORD
// keys of Kafka's clients and workers, and what converters, connectors and plugins usually call theirs (I12).
func SecretName(name string) bool { return secretName.MatchString(name) }
