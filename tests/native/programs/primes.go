// Primes by goroutines that hand numbers on, as in the first papers on channels.
package main

import "fmt"

var found []int

func generate(out chan<- int) {
	for i := 2; i < 60; i++ {
		out <- i
	}
	close(out)
}

func filter(in <-chan int, out chan<- int, prime int) {
	for number := range in {
		if number%prime != 0 {
			out <- number
		}
	}
	close(out)
}

func keep(prime int) {
	found = append(found, prime)
}

func sum(numbers []int) int {
	total := 0
	for _, number := range numbers {
		total += number
	}
	return total
}

func main() {
	numbers := make(chan int)
	go generate(numbers)
	for {
		prime, more := <-numbers
		if !more {
			break
		}
		keep(prime)
		next := make(chan int)
		go filter(numbers, next, prime)
		numbers = next
	}
	total := sum(found)
	fmt.Println(total)
}
