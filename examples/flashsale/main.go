// Flashsale: 10,000 buyers come at once for 100 items. A bounded queue takes as
// many as there can be items for, and tells the others at once.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pocketmq/pocketmq"
)

const (
	items     = 100
	frontends = 100 // goroutines that serve the buyers
	buyers    = 100 // of each of them
)

func main() {
	if err := run(os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(w io.Writer) error {
	ctx := context.Background()
	broker := pocketmq.New()
	defer broker.Close()

	// The bound keeps the memory flat, however many come: no more purchases than
	// this ever wait. RejectPublish gives the others an answer now; Block, the
	// default, would let them wait and so only move the crowd. With as many
	// waiting as there are items, that answer is "sold out"; if payments could
	// fail, it would be "try again later".
	_, err := broker.DeclareQueue(ctx, "purchases", pocketmq.MaxLength(items), pocketmq.Overflow(pocketmq.RejectPublish))
	if err != nil {
		return err
	}

	// One handler is the only one that touches the stock, so it needs no lock
	// and cannot sell an item twice.
	stock, late := items, 0
	_, err = broker.Handle(ctx, "purchases", func(context.Context, *pocketmq.Delivery) error {
		if stock == 0 {
			late++ // those before took the last ones; this buyer is told now
			return nil
		}
		time.Sleep(time.Millisecond) // the payment
		stock--
		return nil
	})
	if err != nil {
		return err
	}

	var queued, soldOut atomic.Int64
	errs := make(chan error, frontends)
	var burst sync.WaitGroup
	for range frontends {
		burst.Go(func() {
			for range buyers {
				switch err := broker.Publish(ctx, "", "purchases", &pocketmq.Message{}); {
				case err == nil:
					queued.Add(1)
				case errors.Is(err, pocketmq.ErrQueueFull):
					soldOut.Add(1)
				default:
					errs <- err
					return
				}
			}
		})
	}
	burst.Wait()
	close(errs)
	if err := <-errs; err != nil { // nil if there was none
		return err
	}
	fmt.Fprintf(w, "%d buyers: %d are queued, %d know at once that it is sold out\n", frontends*buyers, queued.Load(), soldOut.Load())

	if err := broker.Shutdown(ctx); err != nil {
		return err
	}
	fmt.Fprintf(w, "%d items sold, %d left; told late: %d\n", items-stock, stock, late)
	return nil
}
