// Package scenario plays readable scripts against RabbitMQ and against pocketmq,
// and compares everything that a client can see: methods in order, their fields,
// content with the types of all values, reply codes and texts, and what closes.
//
// The scripts are in ../scenarios, whose README explains their language.
package scenario
