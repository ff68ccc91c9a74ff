package demo

import (
	"context"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// writer is one session of the workload: its own random numbers, its own rows.
type writer struct {
	id      int64
	session session
	tables  []table
	rng     *rand.Rand
	version int64
	newest  atomic.Int64 // id of the newest committed ledger row
	history []change
	sent    commitTimes

	forgetful bool // keeps no history

	customers []int64
	horses    []string // passports
	races     []race
	bets      []bet // open
	names     int64 // numbers names, passports and races
}

type race struct {
	track  string
	number int64
}

func (r race) key() string { return r.track + "/" + strconv.FormatInt(r.number, 10) }

type bet struct {
	id       string
	customer int64
}

func newWriter(id int64, seed uint64, s session, tables []table) *writer {
	return &writer{id: id, session: s, tables: tables, rng: rand.New(rand.NewPCG(seed, uint64(id))), version: id}
}

// fill writes the first rows, a few hundred per transaction, and returns how many changes that were.
func (w *writer) fill(ctx context.Context) (changes int, err error) {
	steps := []struct {
		times int
		f     func(*tx)
	}{{500, w.newCustomer}, {125, w.newHorse}, {50, w.newRace}, {1000, w.placeBet}}
	for _, s := range steps {
		for done := 0; done < s.times; done += 125 {
			n, err := w.transact(ctx, func(t *tx) {
				for range min(125, s.times-done) {
					s.f(t)
				}
			})
			if err != nil {
				return changes, err
			}
			changes += n
		}
	}
	return changes, nil
}

// transaction does one piece of business, chosen at random, and returns how many rows it changed.
func (w *writer) transaction(ctx context.Context) (int, error) {
	return w.transact(ctx, func(t *tx) {
		switch n := w.rng.IntN(1000); {
		case n < 420:
			for range 1 + w.rng.IntN(3) {
				w.placeBet(t)
			}
		case n < 600:
			w.deposit(t)
		case n < 680:
			w.settle(t)
		case n < 740:
			w.newCustomer(t)
		case n < 790:
			w.newRace(t)
		case n < 840:
			w.cancelBet(t)
		case n < 880:
			w.replaceBet(t)
		case n < 920:
			w.weighHorse(t)
		case n < 950:
			w.registerAnew(t)
		case n < 970:
			w.newHorse(t)
		case n < 980:
			w.leave(t)
		case n < 985:
			for range 150 {
				w.placeBet(t)
			}
		default:
			w.placeBet(t)
			w.abandon(t)
		}
		w.enter(t, w.customer(), "visit", "0")
	})
}

// abandon rolls the transaction back: nobody may ever see it.
func (w *writer) abandon(t *tx) { t.abandoned = true }

func (w *writer) customer() int64 { return w.customers[w.rng.IntN(len(w.customers))] }
func (w *writer) horse() string   { return w.horses[w.rng.IntN(len(w.horses))] }
func (w *writer) race() race      { return w.races[w.rng.IntN(len(w.races))] }

func (w *writer) number() int64 {
	w.names++
	return w.names*writers + w.id
}

func (w *writer) money(below int) string {
	return fmt.Sprintf("%d.%02d", w.rng.IntN(below), w.rng.IntN(100))
}

func (w *writer) uuid() string {
	var b [16]byte
	for i := range b {
		b[i] = byte(w.rng.Uint32())
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	h := hex.EncodeToString(b[:])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// notes is a text above the size at which Postgres stores a value outside of its row.
func (w *writer) notes() string {
	var b strings.Builder
	for b.Len() < 3000 {
		fmt.Fprintf(&b, "%016x", w.rng.Uint64())
	}
	return b.String()
}

// since is a day, so many after another one.
func since(year, month, days int) string {
	return time.Date(year, time.Month(month), 1+days, 0, 0, 0, 0, time.UTC).Format(time.DateOnly)
}

func (w *writer) newCustomer(t *tx) {
	n := w.number()
	var email any
	if n%5 != 0 {
		email = fmt.Sprintf("punter%d@example.com", n)
	}
	notes := "regular"
	if w.rng.IntN(20) == 0 {
		notes = w.notes()
	}
	t.insert(customers, n, fmt.Sprintf("Zoë O'Punter №%d", n), email, w.money(1000), n%7 == 0, notes, since(2020, 1, w.rng.IntN(2000)))
	t.onCommit(func() { w.customers = append(w.customers, n) })
}

func (w *writer) weight() float64 { return 440 + float64(w.rng.IntN(240))/2 }

func (w *writer) newHorse(t *tx) {
	passport := fmt.Sprintf("IRL-%07d", w.number())
	t.insert(horses, passport, "Quick \"Comet\" "+passport[5:], since(2012, 3, w.rng.IntN(3000)), w.weight(), `{"wins": [1, 4], "trainer": "A. O'Brien"}`)
	t.onCommit(func() { w.horses = append(w.horses, passport) })
}

func (w *writer) newRace(t *tx) {
	tracks := [...]string{"Ascot", "Saint-Cloud", "Curragh", "Baden-Baden"}
	r := race{tracks[w.rng.IntN(len(tracks))], w.number()}
	t.insert(races, r.track, r.number, time.Now().Add(2*time.Hour), "open", nil, w.money(100000))
	t.onCommit(func() { w.races = append(w.races, r) })
}

// enter adds a row to the ledger; its id is its version.
func (w *writer) enter(t *tx, customer int64, kind, amount string) {
	v := t.next()
	t.insertAs(ledger, v, v, customer, kind, amount, time.Now())
	t.ledger = v
}

func (w *writer) pay(t *tx, customer int64, kind, amount string) {
	t.update(customers, texts(customer), plus("balance", amount))
	w.enter(t, customer, kind, amount)
}

func (w *writer) deposit(t *tx) { w.pay(t, w.customer(), "deposit", w.money(500)) }

func (w *writer) insertBet(t *tx, b bet) {
	t.insert(bets, b.id, b.customer, w.race().key(), w.horse(), w.money(100), 1+float64(w.rng.IntN(3000))/100, "open", time.Now())
}

func (w *writer) placeBet(t *tx) {
	b := bet{w.uuid(), w.customer()}
	w.insertBet(t, b)
	t.onCommit(func() { w.bets = append(w.bets, b) })
	w.pay(t, b.customer, "stake", "-"+w.money(100))
}

// takeBet removes a bet from the open ones; ok is false when there is none.
func (w *writer) takeBet() (b bet, ok bool) {
	if len(w.bets) == 0 {
		return b, false
	}
	i := w.rng.IntN(len(w.bets))
	b = w.bets[i]
	w.bets[i] = w.bets[len(w.bets)-1]
	w.bets = w.bets[:len(w.bets)-1]
	return b, true
}

func (w *writer) cancelBet(t *tx) {
	if b, ok := w.takeBet(); ok {
		t.remove(bets, texts(b.id))
		w.pay(t, b.customer, "refund", w.money(100))
	}
}

// replaceBet deletes a row and inserts one with the same key, in one transaction.
func (w *writer) replaceBet(t *tx) {
	if b, ok := w.takeBet(); ok {
		t.remove(bets, texts(b.id))
		w.insertBet(t, b)
		t.onCommit(func() { w.bets = append(w.bets, b) })
	}
}

// settle ends a race: it is updated twice, some bets on it are decided, winners are paid.
func (w *writer) settle(t *tx) {
	r := w.race()
	for _, status := range []string{"running", "over"} {
		t.update(races, texts(r.track, r.number), to("status", status), to("winner", w.horse()))
	}
	for range 3 + w.rng.IntN(6) {
		b, ok := w.takeBet()
		if !ok {
			return
		}
		status := "lost"
		if w.rng.IntN(4) == 0 {
			status = "won"
		}
		t.update(bets, texts(b.id), to("status", status))
		if status == "won" {
			w.pay(t, b.customer, "payout", w.money(900))
		}
	}
}

func (w *writer) weighHorse(t *tx) {
	form := `{"wins": [1, 4], "trainer": "A. O'Brien", "weighed": true}`
	t.update(horses, texts(w.horse()), to("weight_kg", w.weight()), to("form", form))
}

func (w *writer) registerAnew(t *tx) {
	i := w.rng.IntN(len(w.horses))
	passport := fmt.Sprintf("FRA-%07d", w.number())
	t.move(horses, texts(w.horses[i]), texts(passport))
	t.onCommit(func() { w.horses[i] = passport })
}

// leave deletes a customer who is not busy: the rows that mention him stay, there are no foreign keys.
func (w *writer) leave(t *tx) {
	if len(w.customers) < 100 {
		return
	}
	last := len(w.customers) - 1
	i := w.rng.IntN(last + 1)
	n := w.customers[i]
	for _, b := range w.bets {
		if b.customer == n {
			return
		}
	}
	w.customers[i] = w.customers[last]
	w.customers = w.customers[:last]
	t.remove(customers, texts(n))
}

// finish commits one last row, behind which nothing of this writer comes any more, and returns its id.
func (w *writer) finish(ctx context.Context) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err := w.transact(ctx, func(t *tx) { w.enter(t, w.customer(), "closing", "0") })
	return w.newest.Load(), err
}
