package amqpserver

import (
	"slices"
	"sort"
	"time"

	"github.com/pocketmq/pocketmq"
)

// unacked holds a channel's deliveries that are not settled, by delivery tag.
// Usually the oldest are settled first: then adding and taking cost the same
// however many there are.
type unacked struct {
	list  []unackedDelivery // by tag
	start int               // before it the list is used up
	live  int               // deliveries in the list that were not taken
}

// unackedDelivery is a delivery and its tag.
type unackedDelivery struct {
	tag      uint64
	sent     time.Duration // when, from the connection's beginning on
	limit    time.Duration // for how long it may be unsettled; 0 = for ever
	delivery pocketmq.Delivery
	taken    bool
}

// add enters a delivery; tags rise.
func (u *unacked) add(tag uint64, sent, limit time.Duration, d *pocketmq.Delivery) {
	if len(u.list) == cap(u.list) {
		u.compact()
	}
	u.list = append(u.list, unackedDelivery{tag: tag, sent: sent, limit: limit, delivery: *d})
	u.live++
}

// oldest returns the oldest delivery, or nil.
func (u *unacked) oldest() *unackedDelivery {
	if u.start == len(u.list) {
		return nil
	}
	return &u.list[u.start]
}

// deliveries returns copies of all, by tag.
func (u *unacked) deliveries() []*pocketmq.Delivery {
	all := make([]*pocketmq.Delivery, 0, u.live)
	for _, e := range u.list[u.start:] {
		if !e.taken {
			all = append(all, &e.delivery)
		}
	}
	return all
}

// compact drops what was taken, if that is a good part of the list, so that one
// delivery that is never settled does not keep the places of all later ones.
func (u *unacked) compact() {
	if 2*u.live > len(u.list) {
		return
	}
	kept := u.list[:0]
	for _, e := range u.list[u.start:] {
		if !e.taken {
			kept = append(kept, e)
		}
	}
	clear(u.list[len(kept):])
	u.list, u.start = kept, 0
}

// find returns the place of a delivery that is there.
func (u *unacked) find(tag uint64) (i int, ok bool) {
	rest := u.list[u.start:]
	if len(rest) > 0 && rest[0].tag == tag { // most often it is the oldest
		return u.start, !rest[0].taken
	}
	i = u.start + sort.Search(len(rest), func(i int) bool { return rest[i].tag >= tag })
	return i, i < len(u.list) && u.list[i].tag == tag && !u.list[i].taken
}

// take removes one delivery.
func (u *unacked) take(tag uint64) (d pocketmq.Delivery, ok bool) {
	i, ok := u.find(tag)
	if !ok {
		return d, false
	}
	d = u.list[i].delivery
	u.remove(i)
	u.trim()
	return d, true
}

// takeOne is take with all that is known of the delivery.
func (u *unacked) takeOne(tag uint64) (taken []unackedDelivery, ok bool) {
	i, ok := u.find(tag)
	if !ok {
		return nil, false
	}
	taken = []unackedDelivery{u.list[i]}
	u.remove(i)
	u.trim()
	return taken, true
}

func (u *unacked) remove(i int) {
	u.list[i] = unackedDelivery{tag: u.list[i].tag, taken: true}
	u.live--
}

// keepUnacked is the length up to which an empty list is kept for use again.
const keepUnacked = 4096

// trim moves start past what was taken.
func (u *unacked) trim() {
	for u.start < len(u.list) && u.list[u.start].taken {
		u.start++
	}
	if u.start < len(u.list) {
		return
	}
	u.list, u.start = u.list[:0], 0
	if cap(u.list) > keepUnacked {
		u.list = nil
	}
}

// takeThrough removes all deliveries up to a tag, which must be there; tag 0
// stands for all (ACK-4, ACK-5). It appends them to out.
func (u *unacked) takeThrough(tag uint64, out []unackedDelivery) (taken []unackedDelivery, ok bool) {
	end := len(u.list)
	if tag != 0 {
		i, ok := u.find(tag)
		if !ok {
			return out, false
		}
		end = i + 1
	}
	for i := u.start; i < end; i++ {
		if !u.list[i].taken {
			out = append(out, u.list[i])
			u.remove(i)
		}
	}
	u.trim()
	return out, true
}

// restore enters deliveries again that were taken (TX-7).
func (u *unacked) restore(back []unackedDelivery) {
	list := append(slices.Clone(u.list[u.start:]), back...)
	list = slices.DeleteFunc(list, func(e unackedDelivery) bool { return e.taken })
	slices.SortFunc(list, func(a, b unackedDelivery) int {
		if a.tag < b.tag {
			return -1
		}
		return 1
	})
	u.list, u.start, u.live = list, 0, len(list)
}
