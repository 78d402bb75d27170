"""What tests share: generators, contracts, and models to test with."""
