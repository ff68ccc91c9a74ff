package registry

import (
	"encoding/binary"
	"errors"
)

// AppendPrefix writes what comes before a message: a zero byte and the id of its schema.
func AppendPrefix(dst []byte, id int) []byte {
	return binary.BigEndian.AppendUint32(append(dst, 0), uint32(id))
}

// Split takes a message apart.
func Split(data []byte) (id int, payload []byte, err error) {
	if len(data) < 5 || data[0] != 0 {
		return 0, nil, errors.New("read message: it does not begin with a zero byte and the id of a schema, as messages with a registered schema do")
	}
	return int(int32(binary.BigEndian.Uint32(data[1:]))), data[5:], nil
}
