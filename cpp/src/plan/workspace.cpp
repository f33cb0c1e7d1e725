#include "plan/workspace.hpp"

#include <algorithm>

#include <retrograd/error.hpp>

#include "kernels/table.hpp"

namespace retrograd {
namespace {

constexpr std::int64_t short_pass = 50'000;  // multiply-adds during which nobody asks whether to stop

std::size_t at(int id) { return static_cast<std::size_t>(id); }

std::int64_t elements(const Shape& shape, std::int64_t batch) {
    return shape.size() * (shape.batched ? batch : 1);
}

template <class T>
std::span<T> cut(AlignedBuffer<T>& buffer, std::int64_t offset, std::int64_t count) {
    return {buffer.data() + offset, static_cast<std::size_t>(count)};
}

}  // namespace

template <class T>
Workspace<T>::Workspace(std::shared_ptr<const Plan> plan, Storage<T> storage, int members)
    : plan_(std::move(plan)), storage_(storage), members_(members) {
    const Graph& graph = plan_->graph();
    for (const Step& step : plan_->steps()) {
        Record record{.op = step.op.get()};
        const std::size_t operands = step.inputs.size();
        record.x.resize(operands);
        record.index.resize(operands);
        record.dx.resize(operands);
        record.accumulate = step.accumulate;
        record.accumulate_parameters = step.accumulate;
        for (std::size_t i = 0; i < operands; ++i) {
            if (graph[step.inputs[i]].kind == NodeKind::parameter) record.accumulate_parameters[i] = 1;
        }
        for (const int i : step.repeated) record.accumulate[at(i)] = record.accumulate_parameters[at(i)] = 0;
        record.repeated.resize(step.repeated.size());
        record.repeated_operands = step.repeated;
        for (const int i : step.inputs) record.operands.push_back({graph[i].shape, graph[i].dtype});
        record.cost = step.op->cost(record.operands, graph[step.node].shape);
        records_.push_back(std::move(record));
    }
    for (Record& record : records_) {
        forward_.push_back(&record);
        if (record.op->is_random()) drawing_.push_back(&record);
    }
    for (std::size_t s = records_.size(); s-- > 0;) {
        if (plan_->steps()[s].backward) backward_.push_back(&records_[s]);
        if (!plan_->steps()[s].states.empty()) changing_.push_back(&records_[s]);
    }
    keep_accounts();
}

// Rows are worth an account where every operation that writes the parameter's gradient writes single rows.
template <class T>
void Workspace<T>::keep_accounts() {
    const Graph& graph = plan_->graph();
    accounts_.assign(at(graph.size()), nullptr);
    if (storage_.touched.empty()) return;
    std::vector<bool> written(at(graph.size()), false),
        whole(at(graph.size()), !plan_->options().touched_rows);
    for (const Step& step : plan_->steps()) {
        for (std::size_t i = 0; i < step.inputs.size(); ++i) {
            const int id = step.inputs[i];
            if (!step.wanted[i] || graph[id].kind != NodeKind::parameter) continue;
            written[at(id)] = true;
            if (i != 0 || !step.op->writes_rows()) whole[at(id)] = true;
        }
    }
    for (const int id : graph.parameters()) {
        if (!written[at(id)]) continue;
        TouchedRows* const touched = &storage_.touched[at(id)];
        if (whole[at(id)]) {
            written_whole_.push_back(touched);
        } else {
            accounts_[at(id)] = touched;
            touched->list.reserve(static_cast<std::size_t>(TouchedRows::most(graph[id].shape.dims[0])));
        }
    }
}

template <class T>
void Workspace<T>::bind(std::int64_t batch) {
    if (batch > capacity_) {
        layout_ = plan_->layout(batch);
        arena_ = AlignedBuffer<T>(layout_.elements);
        scratch_ = AlignedBuffer<T>(checked_mul(layout_.scratch, members_));
        indices_ = AlignedBuffer<std::int32_t>(layout_.indices);
        member_scratch_.clear();
        for (int m = 0; m < members_; ++m) {
            member_scratch_.push_back(cut(scratch_, m * layout_.scratch, layout_.scratch));
        }
        capacity_ = batch;
    } else if (batch == batch_) {
        return;
    }
    batch_ = batch;
    work_ = 0;
    for (std::size_t s = 0; s < records_.size(); ++s) {
        bind_step(s);
        work_ += records_[s].work;
    }
    set_mode();
    if (plan_->loss() >= 0) {
        loss_ = value(plan_->loss()).data();
        loss_delta_ = delta(plan_->loss()).data();
    }
}

template <class T>
void Workspace<T>::bind_step(std::size_t s) {
    const Graph& graph = plan_->graph();
    const Step& step = plan_->steps()[s];
    Record& record = records_[s];
    const std::vector<Input>& operands = record.operands;
    for (std::size_t i = 0; i < step.inputs.size(); ++i) {
        const int id = step.inputs[i];
        if (graph[id].dtype == DType::index) {
            record.index[i] = index(id);
        } else {
            record.x[i] = value(id);
        }
        record.dx[i] = {};
        if (step.wanted[i]) {
            const GraphNode& node = graph[id];
            record.dx[i] = node.kind == NodeKind::parameter
                               ? storage_.gradients.subspan(static_cast<std::size_t>(node.offset),
                                                            static_cast<std::size_t>(node.shape.size()))
                               : delta(id);
        }
    }
    record.states.clear();
    for (const std::size_t operand : step.states)
        record.states.push_back(constant(graph[step.inputs[operand]]));
    const Shape& shape = graph[step.node].shape;
    std::int64_t offset = layout_.repeated_offsets[s];
    for (std::size_t k = 0; k < step.repeated.size(); ++k) {
        const std::size_t i = at(step.repeated[k]);
        const std::int64_t count = elements(operands[i].shape, batch_);
        record.repeated[k] = record.dx[i];
        record.dx[i] = cut(arena_, offset, count);
        offset += (count + 15) / 16 * 16;
    }
    Run<T>& run = record.run;
    run.x = record.x;
    run.inputs = operands;
    run.shape = &shape;
    run.index = record.index;
    run.dx = record.dx;
    run.y = value(step.node);
    run.dy = delta(step.node);
    run.saved = {};
    if (layout_.saved_offsets[s] >= 0) {
        run.saved = cut(arena_, layout_.saved_offsets[s], step.op->saved_size(operands, shape, batch_));
    }
    run.shared = cut(arena_, layout_.shared_offset, step.op->shared_size(operands, shape, batch_));
    run.scratch = member_scratch_;
    run.states = record.states;
    run.touched = step.inputs.empty() ? nullptr : accounts_[at(step.inputs[0])];
    run.batch = batch_;
    record.work = record.cost * batch_;
}

template <class T>
std::span<T> Workspace<T>::value(int id) {
    const GraphNode& node = plan_->graph()[id];
    const std::size_t offset = static_cast<std::size_t>(node.offset);
    const std::size_t size = static_cast<std::size_t>(node.shape.size());
    if (node.kind == NodeKind::parameter) return storage_.parameters.subspan(offset, size);
    if (node.kind == NodeKind::constant) return constant(node);
    const int slot = plan_->value_slots()[at(id)];
    if (slot < 0) return {};
    return cut(arena_, layout_.offsets[at(slot)], elements(node.shape, batch_));
}

template <class T>
std::span<T> Workspace<T>::constant(const GraphNode& node) {
    const auto own = static_cast<std::int64_t>(storage_.constants.size());
    const std::span<T> flat = node.offset < own ? storage_.constants : storage_.further;
    return flat.subspan(static_cast<std::size_t>(node.offset < own ? node.offset : node.offset - own),
                        static_cast<std::size_t>(node.shape.size()));
}

template <class T>
std::span<T> Workspace<T>::delta(int id) {
    const int slot = plan_->delta_slots()[at(id)];
    if (slot < 0) return {};
    return cut(arena_, layout_.offsets[at(slot)], elements(plan_->graph()[id].shape, batch_));
}

template <class T>
std::span<std::int32_t> Workspace<T>::index(int id) {
    if (layout_.index_offsets[at(id)] < 0) return {};
    return cut(indices_, layout_.index_offsets[at(id)], elements(plan_->graph()[id].shape, batch_));
}

template <class T>
void Workspace<T>::prepare(bool training, bool accumulate) {
    if (training == training_ && accumulate == accumulate_) return;
    training_ = training;
    accumulate_ = accumulate;
    set_mode();
}

template <class T>
void Workspace<T>::draw(const RandomKey& key) {
    for (Record* record : drawing_) {
        // a graph has at most 65,536 nodes in a file, so nodes and passes do not meet
        const auto node =
            static_cast<std::uint32_t>(plan_->steps()[at(static_cast<int>(record - records_.data()))].node);
        record->run.key = key;
        record->run.key.stream = key.stream << 18 | node;
    }
}

template <class T>
void Workspace<T>::commit() {
    for (const Record* record : changing_) record->op->commit(record->run);
}

template <class T>
void Workspace<T>::set_mode() {
    for (std::size_t s = 0; s < records_.size(); ++s) {
        Record& record = records_[s];
        record.run.training = training_ && !plan_->steps()[s].frozen;
        record.run.accumulate = accumulate_ ? record.accumulate_parameters : record.accumulate;
    }
}

template <class T>
void Workspace<T>::forward(const Member& member) {
    if (loss_delta_ != nullptr && member.index() == 0) *loss_delta_ = T(1);
    const bool is_short = work_ < short_pass;
    if (is_short) member.poll(work_);
    for (const Record* record : forward_) {
        if (!is_short) member.poll(record->work);
        record->op->forward(record->run, member);
        member.barrier();
    }
}

template <class T>
void Workspace<T>::backward(const Member& member) {
    if (member.index() == 0) {
        for (TouchedRows* touched : written_whole_) touched->all = true;
    }
    const bool is_short = work_ < short_pass;
    if (is_short) member.poll(2 * work_);
    for (const Record* record : backward_) {
        if (!is_short) member.poll(2 * record->work);
        record->op->backward(record->run, member);
        member.barrier();
        if (!record->repeated.empty()) add_repeated(*record, member);
    }
}

template <class T>
void Workspace<T>::add_repeated(const Record& record, const Member& member) {
    for (std::size_t k = 0; k < record.repeated.size(); ++k) {
        const std::span<const T> apart = record.dx[at(record.repeated_operands[k])];
        member.for_range(
            static_cast<std::int64_t>(apart.size()), 4096, [&](std::int64_t begin, std::int64_t end) {
                kernels<T>().add(apart.data() + begin, record.repeated[k].data() + begin, end - begin);
            });
        member.barrier();
    }
}

template class Workspace<float>;
template class Workspace<double>;

}  // namespace retrograd
