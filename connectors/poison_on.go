//go:build poison

package connectors

const poisoned = true

// poison overwrites a released batch, so that whoever kept a view sees nonsense instead of the next batch's data.
func poison(b *Batch) {
	for i := range b.data {
		b.data[i] = 0xDB
	}
	for i := range b.cells {
		b.cells[i] = Cell{Kind: 0xDB, len: 0xDBDBDBDB, word: 0xDBDBDBDBDBDBDBDB}
	}
	for i := range b.nested {
		b.nested[i] = Cell{Kind: 0xDB, len: 0xDBDBDBDB, word: 0xDBDBDBDBDBDBDBDB}
	}
	for i := range b.Records {
		b.Records[i] = Record{Stream: 0xDBDBDBDB, Op: 0xDB}
	}
}
