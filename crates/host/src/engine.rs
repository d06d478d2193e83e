//! The one place where wasmtime is configured: what is compiled ahead of time must run with the same flags.

use crate::options::Limits;
use anyhow::Result;
use std::{
    sync::Arc,
    sync::Weak,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

/// One epoch. Guest code that runs longer without a pause gives way to others and is counted.
pub const EPOCH: Duration = Duration::from_millis(10);

/// Epochs so far.
static EPOCHS: AtomicU64 = AtomicU64::new(0);

/// How many epochs have passed.
pub fn epochs() -> u64 {
    EPOCHS.load(Relaxed)
}

/// Core memories of one composed instance: gateway, connector, store and one to spare.
const MEMORIES_PER_INSTANCE: u32 = 4;

/// Makes the engine. Only pool sizes depend on the limits; they are not part of the compiled code.
pub fn engine(limits: &Limits) -> Result<Engine> {
    let instances = u32::try_from(limits.concurrent_requests + limits.idle_instances + 16).unwrap_or(u32::MAX);
    let cores = instances.saturating_mul(24);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(instances.saturating_mul(MEMORIES_PER_INSTANCE))
        .total_core_instances(cores)
        .total_memories(instances.saturating_mul(MEMORIES_PER_INSTANCE))
        .total_tables(cores)
        .total_stacks(instances.saturating_mul(8))
        .max_core_instances_per_component(256)
        .max_memories_per_component(16)
        .max_tables_per_component(128)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(1 << 20)
        .max_memory_size(limits.memory_bytes)
        .max_unused_warm_slots(16)
        // Keeping nothing resident costs no measurable speed with reused instances and saves 100 MB and more.
        .linear_memory_keep_resident(0)
        .table_keep_resident(0)
        .async_stack_keep_resident(0);
    let mut config = Config::new();
    config
        .wasm_component_model(true)
        .wasm_component_model_async(true)
        .epoch_interruption(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Ok(Engine::new(&config)?)
}

/// Advances the engine's epoch until `alive` is gone.
pub fn tick<T: Send + Sync + 'static>(engine: &Engine, alive: &Arc<T>) -> Result<()> {
    let engine = engine.weak();
    let alive: Weak<T> = Arc::downgrade(alive);
    std::thread::Builder::new().name("epoch".into()).spawn(move || {
        while alive.strong_count() > 0 {
            std::thread::sleep(EPOCH);
            EPOCHS.fetch_add(1, Relaxed);
            match engine.upgrade() {
                Some(engine) => engine.increment_epoch(),
                None => return,
            }
        }
    })?;
    Ok(())
}
