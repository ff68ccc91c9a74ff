package registry

// Recent remembers what was made for each of the keys met, 1,000 at most; that of the key before costs a comparison. The zero value is
// ready; one goroutine uses it.
type Recent[K comparable, V any] struct {
	key   K
	value V
	all   map[K]V // with the last one
}

const maxRecent = 1000

// Find returns what Add was given for a key.
func (r *Recent[K, V]) Find(key K) (V, bool) {
	if r.all != nil && key == r.key {
		return r.value, true
	}
	v, ok := r.all[key]
	if ok {
		r.key, r.value = key, v
	}
	return v, ok
}

// Add remembers a value; when there are too many, those before are forgotten.
func (r *Recent[K, V]) Add(key K, value V) {
	if r.all == nil || len(r.all) >= maxRecent {
		r.all = map[K]V{}
	}
	r.key, r.value, r.all[key] = key, value, value
}
