//! What people do in the mall, told as it is told at the counter: the book's
//! seven scenarios, the three it leaves empty (checking out, kiosk shopping,
//! order processing), and every way back. Each is told twice, on files and on
//! PostgreSQL.

mod baskets;
mod cancellation;
mod checkout;
mod compensation;
mod customers;
mod kiosk;
mod processing;
mod stores;
