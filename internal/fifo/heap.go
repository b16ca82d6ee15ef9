package fifo

// heap has its least element on top. It is written out because container/heap
// would box every element.
type heap[E any, P ordered[E]] []E

type ordered[E any] interface {
	*E
	before(*E) bool
}

func (h *heap[E, P]) push(e E) {
	*h = append(*h, e)
	s := *h
	for i := len(s) - 1; i > 0; {
		parent := (i - 1) / 2
		if P(&s[parent]).before(&s[i]) {
			return
		}
		s[parent], s[i] = s[i], s[parent]
		i = parent
	}
}

func (h *heap[E, P]) pop() E {
	s := *h
	top, last := s[0], len(s)-1
	s[0] = s[last]
	clear(s[last:])
	s = s[:last]
	for i := 0; ; {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(s); child++ {
			if P(&s[child]).before(&s[least]) {
				least = child
			}
		}
		if least == i {
			break
		}
		s[i], s[least] = s[least], s[i]
		i = least
	}
	*h = s
	if last == 0 {
		*h = nil // an idle queue keeps no heap
	}
	return top
}
